/** A tree of names in virsh's shape: a child below its parent, a branch to each. */

export interface TreeItem {
  readonly name: string;
  /** One that is not in the tree makes the item a root. */
  readonly parent?: string | undefined;
}

export function printTree(items: readonly TreeItem[]): string {
  const names = new Set(items.map(({ name }) => name));
  const below = (name: string | undefined): readonly TreeItem[] =>
    items.filter(({ parent }) => (parent !== undefined && names.has(parent) ? parent : undefined) === name);
  const branch = ({ name }: TreeItem, indent: string): string[] => {
    const children = below(name);
    return children.flatMap((child, at) => {
      const last = at === children.length - 1;
      const gap = at === 0 ? [`${indent}  |`] : [];
      return [...gap, `${indent}  +- ${child.name}`, ...branch(child, `${indent}  ${last ? ' ' : '|'}`)];
    });
  };
  return below(undefined)
    .map((root) => `${[root.name, ...branch(root, '')].join('\n')}\n\n`)
    .join('');
}
