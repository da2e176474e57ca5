import type { Scope } from '../../schemas/auth.js'

/** Who is asking. `local` came over the admin socket, whose file mode is its guard. */
export type Actor = { kind: 'token'; tokenId: string; scope: Scope; projects?: string[] } | { kind: 'local' }
