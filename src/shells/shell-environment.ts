import { userInfo } from 'node:os'
import { childEnvironment } from '../processes/environment.js'

/** What describes the terminal or the multiplexer that hackd may have been started in. */
const otherTerminal =
  /^(TERM_PROGRAM(_VERSION)?|TERMCAP|TMUX(_PANE)?|STY|WINDOW|WINDOWID|VTE_VERSION|COLUMNS|LINES|SHLVL|(SSH|GPG)_TTY|_)$/
const defaultPath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'

/** What a login would have set and a service manager may not have. */
function loginEnvironment(): Record<string, string> {
  const { username, homedir, shell } = userInfo()
  return { HOME: homedir, USER: username, LOGNAME: username, SHELL: shell ?? '/bin/bash', PATH: defaultPath }
}

/** The environment of every shell, without what is particular to one. `base` is hackd's own. */
export function shellEnvironment(base: NodeJS.ProcessEnv): Record<string, string> {
  const environment = loginEnvironment()
  for (const [name, value] of Object.entries(childEnvironment(base)))
    if (!otherTerminal.test(name)) environment[name] = value
  if (!environment.LC_ALL && !environment.LC_CTYPE && !environment.LANG) environment.LANG = 'C.UTF-8'
  return { ...environment, TERM: 'xterm-256color', COLORTERM: 'truecolor' }
}
