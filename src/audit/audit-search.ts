import { AuditEntry, type AuditPage, type AuditQuery } from '../../schemas/audit.js'
import { parseLine } from '../storage/jsonl.js'
import { linesBackwards } from './audit-files.js'

/**
 * Reads the log from its end, as far as it has to. Intent and result share an id, so `next` names the phase as well:
 * an id alone means the newer of the two.
 */
export async function findEntries(files: string[], query: AuditQuery, tokenId: string | undefined): Promise<AuditPage> {
  const entries: AuditEntry[] = []
  const [beforeId, beforePhase] = query.before?.split('.') ?? []
  let reached = beforeId === undefined
  for (const file of files) {
    for await (const line of linesBackwards(file)) {
      // Most lines are passed over without being parsed.
      const wanted = reached ? tokenId : beforeId
      if (wanted !== undefined && !line.includes(wanted)) continue
      const entry = parseLine(line.toString(), AuditEntry)
      if (!entry) continue
      if (!reached) reached = entry.id === beforeId && (beforePhase === undefined || entry.phase === beforePhase)
      else if (tokenId === undefined || entry.tokenId === tokenId) entries.push(entry)
      if (entries.length === query.limit) return { entries, next: `${entry.id}.${entry.phase}` }
    }
  }
  return { entries }
}
