/**
 * What describes hackd itself rather than its user: its own settings, what systemd.exec(5) and sd_notify(3) hand to a
 * service, launchd's likewise, Node's IPC channel, and the folder in which hackd happened to be started.
 */
const own = [
  /^HACK_/,
  /^(NOTIFY_SOCKET|INVOCATION_ID|JOURNAL_STREAM|MAINPID|MANAGERPID|MANAGERPIDFDID|SYSTEMD_EXEC_PID|FDSTORE)$/,
  /^(LISTEN_PID|LISTEN_PIDFDID|LISTEN_FDS|LISTEN_FDNAMES|WATCHDOG_PID|WATCHDOG_USEC)$/,
  /^(RUNTIME|STATE|CACHE|LOGS|CONFIGURATION|CREDENTIALS)_DIRECTORY$/,
  /^MEMORY_PRESSURE_(WATCH|WRITE)$/,
  /^XPC_(SERVICE_NAME|FLAGS)$/,
  /^NODE_CHANNEL_(FD|SERIALIZATION_MODE)$/,
  /^(PWD|OLDPWD)$/,
]

/** The environment that jobs and shells inherit: `base` less what is hackd's own and the service manager's. */
export function childEnvironment(base: NodeJS.ProcessEnv): Record<string, string> {
  const environment: Record<string, string> = {}
  for (const [name, value] of Object.entries(base))
    if (value !== undefined && !own.some(pattern => pattern.test(name))) environment[name] = value
  return environment
}
