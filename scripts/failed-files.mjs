// A reporter of node:test that prints the files in which something failed, a line each.
export default async function* failedFiles(source) {
  const files = new Set()
  for await (const { type, data } of source) if (type === 'test:fail' && data.file) files.add(data.file)
  yield `${[...files].join('\n')}\n`
}
