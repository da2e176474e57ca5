import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'

/** `hack_<id>_<secret><tag>`: 12 hex digits; 43 base64url characters, 256 random bits; 11 characters of HMAC-SHA256. */
const pattern = /^hack_([0-9a-f]{12})_([\w-]{43})([\w-]{11})$/
export const tokenLength = 72

export interface TokenParts {
  id: string
  secret: string
  tag: string
}

/** The parts of a well-formed token. It proves nothing yet: see `isTagged`. */
export function parseToken(token: string): TokenParts | undefined {
  if (token.length !== tokenLength) return undefined
  const [, id, secret, tag] = pattern.exec(token) ?? []
  return id && secret && tag ? { id, secret, tag } : undefined
}

function tagOf(homeKey: Buffer, id: string, secret: string): string {
  return createHmac('sha256', homeKey)
    .update(id + secret)
    .digest('base64url')
    .slice(0, 11)
}

/** True when this home made the token: nothing else gets as far as argon2. Takes the same time whatever the tag holds. */
export function isTagged(homeKey: Buffer, { id, secret, tag }: TokenParts): boolean {
  return timingSafeEqual(Buffer.from(tag), Buffer.from(tagOf(homeKey, id, secret)))
}

/** A new token; `id` is given when the secret of an existing record is rotated. */
export function mintToken(
  homeKey: Buffer,
  id = randomBytes(6).toString('hex'),
): { id: string; secret: string; token: string } {
  const secret = randomBytes(32).toString('base64url')
  return { id, secret, token: `hack_${id}_${secret}${tagOf(homeKey, id, secret)}` }
}
