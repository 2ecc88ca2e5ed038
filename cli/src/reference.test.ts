import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { contracts } from '@virtbus/shared';
import * as shared from '@virtbus/shared';
import { commands } from './commands';
import { referencePage } from './reference';
import { optionsOf } from './program';

test("docs/cli.md is what the commands say: 'node cli/dist/reference.js' writes it anew", () => {
  expect(readFileSync(join(__dirname, '..', '..', 'docs', 'cli.md'), 'utf8')).toBe(referencePage());
});

describe('declared commands', () => {
  test.each(commands.map((spec) => [spec.name, spec] as const))(
    '%s has examples that begin with its name',
    (name, spec) => {
      expect(spec.examples.length).toBeGreaterThan(0);
      // A group's name may stand apart: `host drain` is host-drain.
      for (const { line } of spec.examples)
        expect(`${line} `.replace(name.replace('-', ' '), name)).toMatch(new RegExp(`^${name} `));
    },
  );

  test('no two share a name', () => {
    const names = commands.flatMap(({ name, aliases }) => [name, ...(aliases ?? [])]);
    expect(new Set(names).size).toBe(names.length);
  });

  test('those that can be queued are those whose contract allows it', () => {
    const given = commands.filter((spec) => spec.gives);
    for (const spec of given) {
      const contract = (shared as unknown as Record<string, shared.Contract>)[spec.gives!];
      expect([spec.name, contract?.kind]).toEqual([spec.name, 'cmd']);
      // `edit` needs the answer: it shows what the editor's text was refused for.
      if (spec.name !== 'edit') expect([spec.name, spec.queue ?? false]).toEqual([spec.name, contract?.queue]);
    }
  });

  test('every command of the bus can be given', () => {
    const given = new Set(commands.map(({ gives }) => gives));
    const names = Object.entries(shared).filter(([, value]) => contracts.includes(value as shared.Contract));
    const missing = names.filter(([, c]) => (c as shared.Contract).kind === 'cmd').map(([name]) => name);
    // Given by an option: dumpxml --security-info, blockjob --bandwidth, host drain --abort; by the window of exec -t and console.
    const byOption = [
      'getDomainXmlWithSecrets',
      'getSnapshotXmlWithSecrets',
      'setBlockJobSpeed',
      'resizeTerminal',
      'abortDrain',
    ];
    expect(missing.filter((name) => !given.has(name) && !byOption.includes(name))).toEqual([]);
  });

  test('no option hides one that every command has', () => {
    for (const spec of commands) {
      for (const name of ['json', 'timeout', 'context', 'url', 'version', 'help']) {
        expect([spec.name, name in optionsOf(spec)]).toEqual([spec.name, false]);
      }
    }
  });
});
