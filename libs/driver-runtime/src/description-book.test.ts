/** Descriptions on disk, before and after there is what they describe. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseSnapshot } from '@virtbus/domain-xml/snapshot';
import { VirtError } from '@virtbus/shared';
import { silent } from '@virtbus/shared/log';
import { openSnapshotBook } from './snapshots/book';

let folder: string;
beforeEach(() => (folder = join(mkdtempSync(join(tmpdir(), 'vb-book-')), 'snapshots')));
afterEach(() => rmSync(join(folder, '..'), { recursive: true, force: true }));

const snapshot = parseSnapshot(
  `<domainsnapshot><name>s</name><state>shutoff</state><creationTime>1</creationTime><active>0</active>
    <domain type='qemu'><name>g</name><memory>65536</memory><os><type>hvm</type></os></domain></domainsnapshot>`,
  { form: 'stored' },
);
const open = () => openSnapshotBook(folder, silent);

test('what is reserved is on disk and not seen; whoever comes after a crash finds it', () => {
  const book = open();
  book.reserve(snapshot);
  expect(book.all).toEqual([]);
  expect(open().find('s')).toMatchObject({ name: 's' });
  book.keep(snapshot);
  expect(book.all).toHaveLength(1);
});

test('what came to nothing leaves nothing', () => {
  const book = open();
  book.reserve(snapshot);
  book.drop('s');
  expect(open().all).toEqual([]);
});

test("once it is reserved, a disk that takes no more is in nobody's way", () => {
  const book = open();
  book.reserve(snapshot);
  rmSync(folder, { recursive: true });
  writeFileSync(folder, 'nothing can be written here');
  book.keep(snapshot);
  expect(book.find('s')).toBeDefined();
});

test('a disk that takes nothing is told of as such', () => {
  const book = open();
  writeFileSync(folder, 'nothing can be written here');
  expect(() => book.reserve(snapshot)).toThrow(VirtError);
  expect(book.all).toEqual([]);
});

test('a description of any name that is allowed has a file of its own', () => {
  const names = ['é', 'é'.repeat(40), `${'é'.repeat(99)}a`, `${'é'.repeat(99)}b`, 'a'.repeat(200)];
  for (const name of names) open().keep({ ...snapshot, name });
  const book = open();
  expect(book.all.map(({ name }) => name).sort()).toEqual([...names].sort());
  for (const name of names) book.drop(name);
  expect(open().all).toEqual([]);
});

test('a file that cannot be read is told of until it has been mended or taken away', () => {
  open().keep(snapshot);
  const path = join(folder, 's.xml');
  const whole = readFileSync(path);
  writeFileSync(path, whole.subarray(0, 99));
  const book = open();
  expect(book.damaged).toEqual([path]);
  expect(() => book.checkReadable('s')).toThrow(path);
  book.checkReadable('other');
  rmSync(path);
  expect([book.damaged, book.find('s')]).toEqual([[], undefined]);
  writeFileSync(path, whole.subarray(0, 99));
  const next = open();
  writeFileSync(path, whole);
  expect([next.damaged, next.find('s')?.name]).toEqual([[], 's']);
});
