import { spawnSync } from 'node:child_process';
import fc from 'fast-check';
import { formatInvocation, splitWords } from './shell';

const word = fc.string({ unit: fc.constantFrom(...'ab \'"\\$`,;&|<>()#*?~{}=\n\t-é') });

test('what is quoted for a shell is read back as the same words', () => {
  fc.assert(
    fc.property(fc.array(word), (args) => {
      const text = formatInvocation({ env: {}, program: 'qemu', args });
      expect(splitWords(text)).toEqual(['qemu', ...args]);
    }),
  );
});

test('a shell reads it as we do', () => {
  const args = ['-name', 'it\'s "a" $guest', '-x', 'a\nb', '--', '*', '', '\\'];
  const text = formatInvocation({ env: { A: 'b c' }, program: 'printf', args: ['%s\\0', ...args] });
  expect(spawnSync('sh', ['-c', text]).stdout.toString().split('\0').slice(0, -1)).toEqual(args);
});
