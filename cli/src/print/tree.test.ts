import { printTree } from './tree';

test('children stand below their parents, roots and strays apart', () => {
  const items = [
    { name: 'a' },
    { name: 'b', parent: 'a' },
    { name: 'c', parent: 'b' },
    { name: 'd', parent: 'a' },
    { name: 'e', parent: 'elsewhere' },
  ];
  expect(printTree(items)).toBe(['a', '  |', '  +- b', '  |  |', '  |  +- c', '  +- d', '', 'e', '', ''].join('\n'));
});
