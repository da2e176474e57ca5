import assert from 'node:assert/strict'
import { test } from 'node:test'
import { completeUtf8 } from '../../src/storage/utf8.js'

/** Sequences of every length, overlong and surrogate forms, bytes that begin or continue nothing. */
const samples = ['aé€🙂z', '🙂🙂🙂', '\u0000\u007f\u0080\u07ff\u0800\uffff\u{10000}\u{10ffff}'].map(text =>
  Buffer.from(text),
)
const broken = [
  '80',
  'bf80',
  'c3',
  'c328',
  'e2',
  'e282',
  'e228a1',
  'f0',
  'f09f',
  'f09f98',
  'f09f9861',
  'f8888080',
  'ff',
  'fe61',
  'c080',
  'eda080',
  'f4908080',
  '61e2',
  '80808080',
].map(hex => Buffer.from(hex, 'hex'))

test('no cut falls into a sequence that can be completed', () => {
  for (const sample of samples) {
    for (let end = 0; end <= sample.length; end++) {
      const whole = completeUtf8(sample.subarray(0, end))
      assert.ok(whole <= end && end - whole <= 3)
      assert.ok(!sample.toString('utf8', 0, whole).includes('\ufffd'), `${sample.toString('hex')} cut at ${end}`)
    }
    assert.equal(completeUtf8(sample), sample.length)
  }
})

test('cut anywhere and decoded piece by piece, text is what it is as a whole', () => {
  for (const sample of [...samples, ...broken, Buffer.concat(broken), Buffer.concat([...samples, ...broken])]) {
    for (let cut = 0; cut <= sample.length; cut++) {
      const first = completeUtf8(sample.subarray(0, cut))
      const text = sample.toString('utf8', 0, first) + sample.toString('utf8', first)
      assert.equal(text, sample.toString(), `${sample.toString('hex')} cut at ${cut}`)
    }
  }
})

test('never more than three bytes are held back, whatever they are', () => {
  for (let a = 0; a < 256; a++)
    for (const b of [0, 0x61, 0x80, 0xbf, 0xc3, 0xe2, 0xf0, 0xff])
      for (const c of [0, 0x61, 0x80, 0xbf, 0xc3, 0xe2, 0xf0, 0xff]) {
        const bytes = Uint8Array.of(a, b, c, 0x80, 0x80, 0x80)
        for (let end = 0; end <= 6; end++) assert.ok(end - completeUtf8(bytes.subarray(0, end)) <= 3)
        assert.equal(completeUtf8(bytes), 6)
      }
})
