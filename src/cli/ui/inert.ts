/**
 * Characters that a terminal obeys instead of showing: C0 and C1 controls, and those that reorder or hide text.
 * Names and labels come from strangers, so they are shown as their escapes.
 */
const obeyed = /[\p{Cc}\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/gu

export function inert(text: string): string {
  return text.replace(obeyed, escapeOf)
}

/** JSON that is safe to print: JSON.stringify leaves DEL and C1 controls as they are. */
export function inertJson(value: unknown): string {
  return JSON.stringify(value, null, 2).replace(obeyed, character => (character === '\n' ? '\n' : escapeOf(character)))
}

function escapeOf(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`
}
