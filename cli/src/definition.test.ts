import { mkdirSync, writeFileSync } from 'node:fs';
import { temporaryFolder, type TemporaryFolder } from '@virtbus/testkit';
import { parseDefinition, readText } from './definition';

let folder: TemporaryFolder;
beforeAll(() => (folder = temporaryFolder()));
afterAll(() => folder[Symbol.dispose]());

test('XML is passed on as it is, JSON as a document', () => {
  expect(parseDefinition(' <domain/>', 'f')).toEqual({ xml: ' <domain/>' });
  expect(parseDefinition('\n{"name": "web1"}', 'f')).toEqual({ document: { name: 'web1' } });
  expect(() => parseDefinition('{"name"', 'web1.json')).toThrow(/^web1\.json looks like JSON and is not/);
});

test('a byte order mark is no part of the text', async () => {
  writeFileSync(folder.file('bom.xml'), '\ufeff<domain/>');
  expect(await readText(folder.file('bom.xml'))).toBe('<domain/>');
});

test('standard input is read to its end', async () => {
  const input = (async function* () {
    yield '<dom';
    yield Buffer.from('ain/>');
  })();
  expect(await readText('-', input)).toBe('<domain/>');
});

test('a file that is not there, empty, a folder or no text is named with the reason', async () => {
  writeFileSync(folder.file('empty'), '');
  writeFileSync(folder.file('blank'), ' \n');
  writeFileSync(folder.file('binary'), Buffer.from([0x51, 0x46, 0x49, 0xfb, 0, 0]));
  mkdirSync(folder.file('folder'));
  await expect(readText(folder.file('absent'))).rejects.toThrow(/absent: no such file$/);
  await expect(readText(folder.file('empty'))).rejects.toThrow(/empty is empty$/);
  await expect(readText(folder.file('blank'))).rejects.toThrow(/blank is empty$/);
  await expect(readText(folder.file('binary'))).rejects.toThrow(/binary is not text/);
  await expect(readText(folder.file('folder'))).rejects.toThrow(/it is a folder$/);
});
