/*
 * Control sequences as bytes, read as Latin-1 so that an index is an offset. Sources: ECMA-48 §5.4 and 8.3;
 * "XTerm Control Sequences" (invisible-island.net/xterm/ctlseqs/ctlseqs.html); the kitty keyboard protocol.
 * Controls inside a CSI sequence are executed by terminals and do not end it, hence `[\x00-\x17\x19\x1c-\x1f]*`.
 */
const inside = '[\\x00-\\x17\\x19\\x1c-\\x1f\\x7f]*'
const csi = `(?:\\x1b${inside}\\[|\\xc2\\x9b)${inside}`
const osc = `(?:\\x1b${inside}\\]|\\xc2\\x9d)`
const dcs = `(?:\\x1b${inside}P|\\xc2\\x90)`
const parameters = `(?:[0-9;:]${inside})*`
const string = '(?:[^\\x07\\x18\\x1a\\x1b\\xc2]|\\xc2(?!\\x9c))'
/** Unfinished strings match as well: each byte is then looked at once, whatever a program prints. */
const stringEnd = '(?:\\x07|\\xc2\\x9c|\\x1b\\\\|(?=\\x1b)|$)'

/** What a terminal answers by itself, as if it had been typed. */
const queries = new RegExp(
  [
    '\\x05', // ENQ, answerback
    `\\x1b${inside}Z`, // DECID
    `${csi}(?:[?>=]${inside})?${parameters}[cnx]`, // DA1–3, DSR and CPR, DECREQTPARM
    `${csi}(?:\\?${inside})?${parameters}\\$${inside}[pwu]`, // DECRQM, DECRQPSR, DECRQTSR
    `${csi}${parameters}\\*${inside}y`, // DECRQCRA
    `${csi}>${inside}${parameters}q`, // XTVERSION
    `${csi}\\?${inside}${parameters}[uS]`, // kitty keyboard flags, XTSMGRAPHICS
    `${csi}(?:1${inside}[1-9]|2${inside}[01])${inside}(?:;${inside}${parameters})?t`, // XTWINOPS reports
    `(${csi}\\?${inside}${parameters}h)`, // modes that a terminal confirms by a report: focus, colour scheme, size
    `(${osc}${string}*${stringEnd})`, // colours, clipboard, font: an OSC asks where a parameter is `?`
    `${dcs}[0-9;]*[$+]q${string}*${stringEnd}`, // DECRQSS, XTGETTCAP
  ].join('|'),
  'g',
)

const nul = 0
const cancel = 0x18

/**
 * Overwrites every query in `bytes` with NULs, which terminals ignore: whoever replays them answers nothing, and every
 * other byte keeps its offset. Of a query that began before `from`, the reader has seen the beginning; CAN ends it.
 */
export function silenceQueries(bytes: Buffer, from = 0): Buffer {
  if (bytes.indexOf(0x1b) < 0 && bytes.indexOf(0xc2) < 0 && bytes.indexOf(0x05) < 0) return bytes
  for (const match of bytes.toString('latin1').matchAll(queries)) {
    if (match[1] !== undefined && !/(?<!\d)(?:1004|2031|2048)(?!\d)/.test(match[1])) continue
    if (match[2] !== undefined && !/[;=]\?/.test(match[2])) continue
    const end = match.index + match[0].length
    for (let at = match.index; at < end; at++) if (!isLayout(bytes[at])) bytes[at] = nul
    if (match.index < from && from < end) bytes[from] = cancel
  }
  return bytes
}

/** BS, HT, LF, VT, FF and CR move the cursor, also inside a sequence. */
function isLayout(byte = 0): boolean {
  return byte >= 0x08 && byte <= 0x0d
}
