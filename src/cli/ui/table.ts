/** Rows under their headings, in columns as wide as they need to be. Cells are inert already. */
export function formatTable(headings: string[], rows: string[][]): string[] {
  const all = [headings, ...rows]
  const widths = headings.map((_, column) => Math.max(...all.map(row => length(row[column]))))
  return all.map(row =>
    row
      .map((cell, column) => cell + ' '.repeat((widths[column] ?? 0) - length(cell)))
      .join('  ')
      .trimEnd(),
  )
}

const length = (cell = '') => [...cell].length
