import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ownerOf } from '../../src/runtime/ownership.js'

const projects = ['shop', 'shop--api', 'blog'].map(name => ({ name }))
const cases: [composeProject: string, owner: string | undefined][] = [
  ['shop', 'shop'],
  ['shop--feature', 'shop'],
  ['shop--api', 'shop--api'],
  ['shop--api--feature', 'shop--api'],
  ['shop--', undefined],
  ['shopping', undefined],
  ['--shop', undefined],
  ['', undefined],
]

for (const [composeProject, owner] of cases)
  test(`"${composeProject}" belongs to ${owner ?? 'nobody'}`, () => {
    assert.equal(ownerOf(composeProject, projects)?.name, owner)
    assert.equal(ownerOf(composeProject, projects.toReversed())?.name, owner)
  })
