const form = document.querySelector('form')
const input = document.querySelector('#token')
const message = document.querySelector('#message')
const operations = document.querySelector('#operations')

form.addEventListener('submit', async event => {
  event.preventDefault()
  try {
    show(await load(input.value.trim()))
    message.textContent = ''
  } catch (error) {
    message.textContent = error.message
  }
})

async function load(token) {
  const answer = await fetch('openapi.json', { headers: { authorization: `Bearer ${token}` } })
  const body = await answer.json()
  if (!answer.ok) throw new Error(body.message)
  return body
}

function show({ info, tags, paths, components }) {
  const all = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ path, method: method.toUpperCase(), ...operation })),
  )
  const groups = tags.map(({ name, description }) => ({
    head: [element('h2', name), element('p', description)],
    rows: all.filter(operation => operation.tags.includes(name)).map(details),
  }))
  const schemas = Object.entries(components.schemas).map(([name, schema]) =>
    folded(element('code', name), json(schema)),
  )
  operations.replaceChildren(
    element('p', `Version ${info.version}`),
    element('p', info.description),
    ...groups.filter(({ rows }) => rows.length > 0).flatMap(({ head, rows }) => [...head, ...rows]),
    element('h2', 'schemas'),
    ...schemas,
  )
}

function details(operation) {
  const { path, method, summary, description, parameters = [], requestBody, responses } = operation
  const list = element('dl')
  const row = (term, ...content) => {
    const value = element('dd')
    value.append(...content)
    list.append(element('dt', term), value)
  }
  for (const { name, in: where, required, description: about, schema } of parameters)
    row(`${name} (${where}${required ? ', required' : ''})`, about ?? '', json(schema))
  if (requestBody) row('body', json(requestBody.content['application/json'].schema))
  if (operation['x-frames']) row('frames', json(operation['x-frames']))
  for (const [status, { description: about, content = {} }] of Object.entries(responses)) {
    const isFailure = Number(status) >= 400
    row(status, about, ...(isFailure ? [] : Object.values(content).map(({ schema }) => json(schema))))
  }
  const head = element('span')
  head.append(element('code', `${method} ${path}`), ` ${summary}`)
  return folded(head, element('p', description ?? ''), list)
}

function folded(head, ...content) {
  const summary = element('summary')
  summary.append(head)
  const block = element('details')
  block.append(summary, ...content)
  return block
}

function json(value) {
  return element('pre', JSON.stringify(value, null, 2))
}

/** Text is set as text: nothing of what the document says is read as markup. */
function element(name, text = '') {
  const made = document.createElement(name)
  made.textContent = text
  return made
}
