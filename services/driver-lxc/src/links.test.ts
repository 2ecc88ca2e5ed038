import { tagWords } from './links';

const words = (vlan: Parameters<typeof tagWords>[1], own: number): string[] =>
  tagWords('veth0', vlan, own).map((line) => line.join(' '));

test('an end on a bridge that tags nothing of its own only gets what is asked for', () => {
  expect(words({ untagged: 42, tagged: [] }, 0)).toEqual(['add dev veth0 vid 42 pvid untagged']);
});

test('the tag of the bridge goes where another is asked for', () => {
  expect(words({ untagged: 42, tagged: [7] }, 1)).toEqual([
    'del dev veth0 vid 1',
    'add dev veth0 vid 42 pvid untagged',
    'add dev veth0 vid 7',
  ]);
});

test('the tag of the bridge stays where it is the one that is asked for', () => {
  expect(words({ untagged: 1, tagged: [] }, 1)).toEqual(['add dev veth0 vid 1 pvid untagged']);
});

test('a trunk takes nothing without a tag', () => {
  expect(words({ untagged: 'none', tagged: [7, 8] }, 1)).toEqual([
    'del dev veth0 vid 1',
    'add dev veth0 vid 7',
    'add dev veth0 vid 8',
  ]);
});
