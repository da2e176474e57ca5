import assert from 'node:assert/strict'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { parseConfig } from '../../src/config.js'
import { Job } from '../../src/jobs/job.js'
import { JobFolder } from '../../src/jobs/job-folder.js'
import { Retention } from '../../src/jobs/retention.js'
import { temporaryFolder } from '../temporary-folder.js'

const { supervisor: limits } = parseConfig('', '{}').config
const day = 24 * 3600 * 1000

function finished(
  t: TestContext,
  jobId: string,
  daysAgo: number,
  field: 'finishedAt' | 'updatedAt' = 'finishedAt',
): Job {
  const at = new Date(Date.now() - daysAgo * day).toISOString()
  const times = { createdAt: at, updatedAt: at, ...(field === 'finishedAt' ? { finishedAt: at } : {}) }
  const meta = { jobId, status: 'completed' as const, runner: 'generic', lastEventSeq: 4, ...times }
  const request = { environment: {}, stdin: false, local: false }
  return new Job(new JobFolder(join(temporaryFolder(t), jobId)), request, meta, assert.fail)
}

const ids = (jobs: Job[]) => jobs.map(job => job.meta.jobId)

test('the oldest go first when there are too many', t => {
  const retention = new Retention()
  retention.load([finished(t, 'b', 2), finished(t, 'a', 3), finished(t, 'c', 1, 'updatedAt')])
  retention.add(finished(t, 'd', 0))
  assert.deepEqual(ids(retention.expire({ ...limits, jobsMaxCount: 2 })), ['a', 'b'])
  assert.deepEqual(ids(retention.expire({ ...limits, jobsMaxCount: 2 })), [])
  assert.deepEqual(ids(retention.expire({ ...limits, jobsMaxCount: 0 })), ['c', 'd'])
})

test('what is too old goes, however few there are', t => {
  const retention = new Retention()
  retention.load([finished(t, 'a', 31), finished(t, 'b', 29), finished(t, 'c', 40)])
  assert.deepEqual(ids(retention.expire({ ...limits, jobsMaxAgeDays: 30 })), ['c', 'a'])
  assert.deepEqual(ids(retention.expire({ ...limits, jobsMaxAgeDays: 1 })), ['b'])
  assert.deepEqual(ids(retention.expire({ ...limits, jobsMaxAgeDays: 1 })), [])
})
