/** The command that records what an overlay does not: for messages. */

export const repairCommand = (overlay: string): string =>
  `virtbus chain repair ${/^[\w@%+=:,./-]+$/.test(overlay) ? overlay : `'${overlay.replaceAll("'", `'\\''`)}'`} --backing-format FORMAT`;
