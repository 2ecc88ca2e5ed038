import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ImageLease, LeaseMode } from '@virtbus/shared';
import { createLog } from '@virtbus/shared/log';
import { LeaseBook, type Settling, type Taking } from './book';

const log = createLog({ service: 'test', level: 'silent' });
const uuid = (n: number): string => `00000000-0000-4000-8000-00000000000${n}`;

let folder: string;
beforeEach(() => (folder = mkdtempSync(join(tmpdir(), 'vb-leases-'))));
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const open = (): LeaseBook => new LeaseBook('h1', folder, log);
const image = (identity: string, mode: LeaseMode = 'exclusive', target = 'vda'): ImageLease => ({
  ...{ identity, mode, target, path: `/${identity}`, fleet: false },
});
const taking = (n: number, id: string, leases: ImageLease[], more: Partial<Taking> = {}): Taking => ({
  ...{ domain: uuid(n), name: `d${n}`, driver: 'qemu', epoch: 1, revision: 5, id, leases },
  ...more,
});
/** The word of the first domain's driver. */
const said = (what: Partial<Settling>): Settling => ({
  ...{ domain: uuid(1), name: 'd1', driver: 'qemu', epoch: 1, revision: 5, uses: [] },
  ...what,
});

describe('the book of leases', () => {
  test.each<[LeaseMode, LeaseMode, number]>([
    ['exclusive', 'exclusive', 1],
    ['exclusive', 'shared', 1],
    ['shared', 'exclusive', 1],
    ['shared', 'shared', 0],
  ])('after %s, %s meets %i in the way', (first, second, conflicts) => {
    const book = open();
    expect(book.take(taking(1, 'a', [image('x', first)]))).toEqual([]);
    const met = book.take(taking(2, 'b', [image('y'), image('x', second)]));
    expect(met.map(({ holder }) => holder.claim)).toEqual(conflicts ? ['a'] : []);
    // All or nothing.
    expect(book.of('y')).toHaveLength(conflicts ? 0 : 1);
  });

  test('is the same after a restart, and a file that cannot be read is left as it is', () => {
    open().take(taking(1, 'a', [image('x')]));
    writeFileSync(join(folder, `${uuid(2)}.json`), '{');
    const book = open();
    expect(book.of('x')).toMatchObject([{ domain: uuid(1), host: 'h1', claim: 'a' }]);
    expect(book.take(taking(3, 'c', [image('x')]))).toHaveLength(1);
  });

  test('keeps what a command holds when it comes again and names others, until its driver says what it uses', () => {
    const book = open();
    book.take(taking(1, 'a', [image('x', 'exclusive', 'vdb')]));
    expect(book.take(taking(1, 'a', [image('y', 'exclusive', 'vdc')], { revision: 6 }))).toEqual([]);
    expect(book.take(taking(2, 'b', [image('x')]))).toHaveLength(1);
    expect(book.settle(said({ revision: 7, uses: [{ claim: 'a', target: 'vdb' }] }))).toEqual(['y']);
    expect(open().of('x')).toHaveLength(1);
  });

  test('forgets an image that is no more, whose identity the system has given to a new file', () => {
    const book = open();
    book.take(taking(1, 'a', [image('x', 'exclusive', 'vdb'), image('y')]));
    expect(book.take(taking(1, 'b', [image('x')]))).toHaveLength(1);
    book.forget('x');
    expect(book.take(taking(1, 'b', [image('x')]))).toEqual([]);
    expect(open().of('y')).toMatchObject([{ claim: 'a' }]);
    expect(open().of('x')).toMatchObject([{ claim: 'b' }]);
  });

  test('tells which images a domain holds no longer, once nothing of it does', () => {
    const book = open();
    const left: string[] = [];
    book.onLetGo = (paths) => left.push(...paths);
    book.take(taking(1, 'a', [image('x'), image('y')]));
    book.take(taking(1, 'b', [image('x')]));
    book.release(uuid(1), ['b']);
    expect(left).toEqual([]);
    book.settle(said({ revision: 6 }));
    expect(left.sort()).toEqual(['/x', '/y']);
  });

  test('lets an image go when every command that took it has let go', () => {
    const book = open();
    book.take(taking(1, 'a', [image('x'), image('y')]));
    book.take(taking(1, 'b', [image('x')]));
    expect(book.release(uuid(1), ['b'])).toEqual([]);
    expect(book.release(uuid(1), ['a', 'unknown']).sort()).toEqual(['x', 'y']);
    expect(book.all()).toEqual([]);
  });

  test('two disks of one domain do not share what one of them writes', () => {
    const book = open();
    book.take(taking(1, 'a', [image('x', 'exclusive', 'vda')]));
    expect(book.take(taking(1, 'b', [image('x', 'exclusive', 'vdb')]))).toHaveLength(1);
    expect(book.take(taking(1, 'c', [image('x', 'exclusive', 'vda')]))).toEqual([]);
  });

  test('believes the driver only about what it can know', () => {
    const book = open();
    book.take(taking(1, 'old', [image('x'), image('z', 'exclusive', 'vdb')], { revision: 3 }));
    book.take(taking(1, 'coming', [image('y', 'exclusive', 'vdc')], { revision: 5 }));
    const uses = [{ claim: 'old', target: 'vdb' }];
    expect(book.settle(said({ revision: 3 }))).toEqual([]);
    expect(book.settle(said({ epoch: 0, revision: 9 }))).toEqual([]);
    expect(book.settle(said({ revision: 5, uses }))).toEqual(['x']);
    expect(book.settle(said({ revision: 6 })).sort()).toEqual(['y', 'z']);
  });

  test('holds for a running disk what its guest has open, neither more nor less', () => {
    const book = open();
    book.take(taking(1, 'start', [image('top'), image('base', 'shared'), image('other', 'exclusive', 'vdb')]));
    book.take(taking(1, 'copy', [image('mirror', 'exclusive', 'mirror:vda')], { revision: 8 }));
    const disks = [
      { claim: 'start', target: 'vda' },
      { claim: 'start', target: 'vdb' },
    ];
    const during = [...disks, { claim: 'copy', target: 'mirror:vda' }];
    const before = new Map([['vda', [image('top'), image('base', 'shared')]]]);
    expect(book.settle(said({ revision: 9, uses: during }), { open: before })).toEqual([]);
    // The guest has moved to the copy, which stands on nothing.
    const after = new Map([['vda', [image('mirror')]]]);
    expect(book.settle(said({ revision: 10, uses: disks }), { open: after }).sort()).toEqual(['base', 'top']);
    expect(book.all(uuid(1)).flatMap(({ claim, leases }) => leases.map((one) => [claim, one.identity]))).toEqual([
      ['start', 'other'],
      ['start', 'mirror'],
    ]);
    expect(open().all()).toEqual(book.all());
  });

  test('holds what an operation has taken for a disk of which nobody can see what it stands on', () => {
    const book = open();
    book.take(taking(1, 'start', [image('top')]));
    book.take(taking(1, 'copy', [image('mirror', 'exclusive', 'mirror:vda')], { revision: 8 }));
    const uses = [{ claim: 'start', target: 'vda' }];
    expect(book.settle(said({ revision: 10, uses }), { unread: new Set(['vda']) })).toEqual([]);
    expect(book.settle(said({ revision: 10, uses }), { open: new Map([['vda', [image('mirror')]]]) })).toEqual(['top']);
  });

  test('lets go what its driver never begins, whenever that was taken', () => {
    const book = open();
    book.take(taking(1, 'lost', [image('x')], { revision: 5 }));
    expect(book.settle(said({ revision: 5 }))).toEqual([]);
    expect(book.settle(said({ revision: 5, revoked: ['lost'] }))).toEqual(['x']);
  });

  test('that was lost is made again from what guests have open', () => {
    const book = open();
    const uses = [{ claim: 'start', target: 'vda' }];
    book.settle(said({ revision: 9, uses }), { open: new Map([['vda', [image('x')]]]) });
    expect(book.of('x')).toMatchObject([{ name: 'd1', claim: 'start' }]);
    expect(book.settle(said({ revision: 9 }))).toEqual(['x']);
  });

  test("an image of a disk and what an operation needs of it do not stand in each other's way", () => {
    const book = open();
    book.take(taking(1, 'start', [image('base', 'shared')]));
    expect(book.take(taking(1, 'commit', [image('base', 'exclusive', 'base:vda')]))).toEqual([]);
    expect(book.take(taking(1, 'other', [image('base', 'exclusive', 'base:vdb')]))).toHaveLength(1);
    expect(book.take(taking(2, 'start', [image('base', 'shared')]))).toHaveLength(1);
  });

  test('a higher epoch takes over, a lower one is refused', () => {
    const book = open();
    book.take(taking(1, 'a', [image('x'), image('y')], { epoch: 2 }));
    expect(() => book.take(taking(1, 'b', [image('x')], { epoch: 1 }))).toThrow('epoch 2');
    expect(book.settle(said({ epoch: 3 })).sort()).toEqual(['x', 'y']);
    book.take(taking(1, 'c', [image('x')], { epoch: 3 }));
    expect(book.of('x')).toMatchObject([{ claim: 'c', epoch: 3 }]);
  });

  test('a guest that goes on under a higher epoch keeps what it uses when another command takes more', () => {
    const book = open();
    book.take(taking(1, 'start', [image('x')], { epoch: 3 }));
    const uses = [{ claim: 'start', target: 'vda' }];
    expect(book.settle(said({ epoch: 5, revision: 9, uses }), { unread: new Set(['vda']) })).toEqual([]);
    book.take(taking(1, 'attach', [image('y', 'exclusive', 'vdb')], { epoch: 5, revision: 9 }));
    expect([...book.of('x'), ...book.of('y')].map(({ claim, epoch }) => [claim, epoch])).toEqual([
      ['start', 5],
      ['attach', 5],
    ]);
    expect(open().all()).toEqual(book.all());
  });

  test('nobody takes an image that is being changed', () => {
    const book = open();
    const bar = book.bar('x', '/x', 'resized');
    expect(() => book.take(taking(1, 'a', [image('x')]))).toThrow('/x is in use: it is being resized');
    expect(() => book.bar('x', '/x', 'deleted')).toThrow('it is being resized');
    bar[Symbol.dispose]();
    expect(book.take(taking(1, 'a', [image('x')]))).toEqual([]);
  });
});
