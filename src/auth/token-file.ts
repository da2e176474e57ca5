import { readFile, rename } from 'node:fs/promises'
import argon2 from 'argon2'
import { type CreatedToken, type Scope, TokenFile, type TokenRecord } from '../../schemas/auth.js'
import { systemCode } from '../errors.js'
import type { Home } from '../home.js'
import { DamagedFile, parseJson, readJson, updateJson } from '../storage/atomic-file.js'
import { takeLock } from '../storage/lock-file.js'
import { loadHomeKey } from './home-key.js'
import { mintToken } from './token-format.js'

/** OWASP's argon2id: 19 MiB, two passes, one lane: about 30 ms. */
const hashing = { type: argon2.argon2id, memoryCost: 19456, timeCost: 2, parallelism: 1 } as const

export interface TokenRequest {
  scope?: Scope
  label?: string
  /** Confines the token to these project ids. */
  projects?: string[]
  expiresAt?: Date
}

/**
 * Parses tokens.json.
 * @throws DamagedFile when it is not a token file, or one of the earlier tool.
 */
export function parseTokenFile(path: string, text: string): TokenFile {
  if (isVersion1(text))
    throw new DamagedFile(
      path,
      'its tokens are of version 1 and cannot be used any more; create new ones with: hack x gateway token-create',
    )
  return parseJson(path, text, TokenFile)
}

function isVersion1(text: string): boolean {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null && 'version' in value && value.version === 1
  } catch {
    return false
  }
}

/** Creates a token. What is returned holds its secret, which is stored nowhere. @throws DamagedFile, LockHeld */
export async function createToken(home: Home, request: TokenRequest): Promise<CreatedToken> {
  const { id, secret, token } = mintToken(await loadHomeKey(home.key))
  const record: TokenRecord = {
    id,
    hash: await argon2.hash(secret, hashing),
    scope: request.scope ?? 'read',
    ...(request.label !== undefined && { label: request.label }),
    ...(request.projects?.length && { projects: request.projects }),
    createdAt: new Date().toISOString(),
    ...(request.expiresAt && { expiresAt: request.expiresAt.toISOString() }),
  }
  await setVersion1Aside(home)
  await change(home, tokens => [...tokens, record])
  const { hash: _hash, ...shown } = record
  return { token, ...shown }
}

export async function listTokens(home: Home): Promise<TokenRecord[]> {
  return (await readJson(home.tokens, TokenFile))?.tokens ?? []
}

/** Revokes a token; undefined when there is none with this id. A second time changes nothing. */
export async function revokeToken(home: Home, id: string): Promise<TokenRecord | undefined> {
  const revokedAt = new Date().toISOString()
  return changeOne(home, id, record => (record.revokedAt ? record : { ...record, revokedAt }))
}

/** Gives a token a new secret and keeps the rest: the old secret is refused from then on. Undefined: no such live token. */
export async function rotateToken(home: Home, id: string): Promise<CreatedToken | undefined> {
  const { secret, token } = mintToken(await loadHomeKey(home.key), id)
  const hash = await argon2.hash(secret, hashing)
  const changed = await changeOne(home, id, record => (record.revokedAt ? record : { ...record, hash }))
  if (!changed || changed.revokedAt) return undefined
  const { hash: _hash, revokedAt: _revokedAt, ...shown } = changed
  return { token, ...shown }
}

async function changeOne(
  home: Home,
  id: string,
  next: (record: TokenRecord) => TokenRecord,
): Promise<TokenRecord | undefined> {
  const file = await change(home, tokens => tokens.map(record => (record.id === id ? next(record) : record)))
  return file.tokens.find(record => record.id === id)
}

function change(home: Home, next: (tokens: TokenRecord[]) => TokenRecord[]): Promise<TokenFile> {
  return updateJson(home.tokens, TokenFile, { version: 2, tokens: [] }, ({ tokens }): TokenFile => {
    return { version: 2, tokens: next(tokens) }
  })
}

/** The earlier tool's file is kept beside the new one, for whoever wants to look up what there was. */
async function setVersion1Aside(home: Home): Promise<void> {
  const lock = await takeLock(`${home.tokens}.lock`, 5000)
  try {
    const text = await readFile(home.tokens, 'utf8')
    if (isVersion1(text)) await rename(home.tokens, `${home.tokens}.v1`)
  } catch (error) {
    if (systemCode(error) !== 'ENOENT') throw error
  } finally {
    await lock.release()
  }
}
