import {
  createCheckpoint,
  deleteCheckpoint,
  getCheckpointXml,
  listCheckpoints,
  undefineDomain,
  VirtError,
} from '@virtbus/shared';
import type { CheckpointSummary, Contract, RequestInput } from '@virtbus/shared';
import { BackupsInMemory, startWithDisk } from './testing/memory-backups';
import { OneHost, uuid } from './testing/one-host';

class Checkpointed extends BackupsInMemory {
  private constructor(readonly one: OneHost) {
    super();
  }

  static async start(one: OneHost): Promise<Checkpointed> {
    const checkpointed = new Checkpointed(one);
    checkpointed.giveTo(one.driver);
    await startWithDisk(one);
    return checkpointed;
  }

  call<T, C extends Contract = Contract>(contract: C, request: RequestInput<C>): Promise<T> {
    return this.one.call<T>(contract.operation, contract.request.parse(request));
  }

  refusal<C extends Contract>(contract: C, request: RequestInput<C>): Promise<string> {
    return this.one.refusal(contract.operation, contract.request.parse(request));
  }

  make(name: string): Promise<unknown> {
    return this.call(createCheckpoint, { xml: `<domaincheckpoint><name>${name}</name></domaincheckpoint>` });
  }

  /** `b<a*`: name, parent, current. */
  async list(request: RequestInput<typeof listCheckpoints> = {}): Promise<string[]> {
    const { checkpoints } = await this.call<{ checkpoints: CheckpointSummary[] }>(listCheckpoints, request);
    return checkpoints.map(({ name, parent, current }) => `${name}${parent ? `<${parent}` : ''}${current ? '*' : ''}`);
  }

  restart(meanwhile: () => void = () => undefined): Promise<void> {
    this.before = this.after = () => undefined;
    return this.one.restart({ meanwhile, prepare: (driver) => this.giveTo(driver) });
  }
}

let one: OneHost;
let domain: Checkpointed;
beforeEach(async () => {
  one = await OneHost.open();
  domain = await Checkpointed.start(one);
});
afterEach(() => one[Symbol.dispose]());

test('each follows on the one before, also after a restart; when one goes its children stay', async () => {
  for (const name of ['a', 'b']) await domain.make(name);
  await domain.restart();
  await domain.make('c');
  expect(await domain.list()).toEqual(['a', 'b<a', 'c<b*']);
  expect(await domain.list({ from: 'a', descendants: true, leaves: true })).toEqual(['c<b*']);
  await domain.call(deleteCheckpoint, { name: 'b' });
  expect(await domain.list()).toEqual(['a', 'c<a*']);
  await domain.call(deleteCheckpoint, { name: 'a', children: true });
  expect(await domain.list()).toEqual([]);
  expect([...domain.bitmaps]).toEqual([]);
  expect(one.told().filter((event) => event.startsWith('checkpoint.'))).toHaveLength(6);
});

test('one that could not be made is forgotten, and so is one whose driver was killed before it was made', async () => {
  domain.before = () => {
    throw new Error('QEMU says no');
  };
  await expect(domain.make('refused')).rejects.toThrow('QEMU says no');
  expect(await domain.list()).toEqual([]);
  const hangs = domain.hangs('before');
  void domain.make('never');
  await hangs;
  await domain.restart();
  expect(await domain.list()).toEqual([]);
});

test('one whose driver was killed after its bitmaps were made is kept, told of once, and the answer to its command', async () => {
  const hangs = domain.hangs('after');
  const xml = '<domaincheckpoint><name>made</name></domaincheckpoint>';
  const request = createCheckpoint.request.parse({ xml });
  void one.call(createCheckpoint.operation, request, { id: 'c1' });
  await hangs;
  for (let restarts = 0; restarts < 2; restarts++) {
    await domain.restart();
    expect(await domain.list()).toEqual(['made*']);
    expect(one.told().filter((event) => event.startsWith('checkpoint.'))).toEqual(['checkpoint.created c1']);
  }
  expect(await one.call(createCheckpoint.operation, request, { id: 'c1' })).toMatchObject({
    checkpoint: { name: 'made' },
  });
});

test('one whose answer was lost is kept when its bitmaps were made, and told of', async () => {
  const lost = (): never => {
    throw new VirtError('OPERATION_TIMEOUT', { detail: 'QEMU does not answer' });
  };
  domain.before = lost;
  await expect(domain.make('never')).rejects.toThrow('does not answer');
  expect(await domain.list()).toEqual([]);
  domain.before = () => undefined;
  domain.after = lost;
  await expect(domain.make('made')).rejects.toThrow('does not answer');
  expect(await domain.list()).toEqual(['made*']);
  expect(one.told().filter((event) => event.startsWith('checkpoint.'))).toHaveLength(1);
});

test('a description that was taken away is kept again when it is whole and its bitmaps are', async () => {
  await domain.make('a');
  await domain.make('b');
  const { xml: b } = await domain.call<{ xml: string }>(getCheckpointXml, { name: 'b' });
  expect(b).toContain("<disk name='vda' checkpoint='bitmap' bitmap='b'/>");
  await domain.call(deleteCheckpoint, { name: 'b', metadata: true });
  expect([...domain.bitmaps]).toEqual(['a', 'b']);
  const again = { xml: b, redefine: true, validate: true };
  await domain.call(createCheckpoint, again);
  expect(await domain.list()).toEqual(['a', 'b<a*']);
  await domain.call(deleteCheckpoint, { name: 'b' });
  expect(await domain.refusal(createCheckpoint, again)).toContain('CHECKPOINT_INCONSISTENT');
  const cycle = b
    .replaceAll('<name>b</name>', '<name>a</name>')
    .replace(/<parent>[^]*<\/parent>/, '<parent><name>a</name></parent>');
  expect(await domain.refusal(createCheckpoint, { xml: cycle, redefine: true })).toContain('as its own parent');
  const other = b.replaceAll(uuid, uuid.replace('c7', 'c8'));
  expect(await domain.refusal(createCheckpoint, { xml: other, redefine: true })).toContain(`must use uuid ${uuid}`);
  const orphan = b.replace('<name>a</name>', '<name>z</name>');
  expect(await domain.refusal(createCheckpoint, { xml: orphan, redefine: true })).toContain(
    'parent z for checkpoint b',
  );
});

test('a domain that is off has none made or deleted, and keeps its definition while it has some', async () => {
  await domain.make('a');
  expect(
    await domain.refusal(createCheckpoint, { xml: '<domaincheckpoint><name>a</name></domaincheckpoint>' }),
  ).toContain('domain checkpoint a already exists');
  await one.call('destroy', { graceful: false });
  expect(await domain.refusal(createCheckpoint, {})).toContain('cannot create checkpoint for inactive domain');
  expect(await domain.refusal(deleteCheckpoint, { name: 'a' })).toContain(
    'cannot delete checkpoint for inactive domain',
  );
  expect(await domain.refusal(deleteCheckpoint, { name: 'b' })).toContain('no domain checkpoint with matching name');
  expect(await domain.refusal(undefineDomain, {})).toContain('cannot delete inactive domain with 1 checkpoints');
  await domain.call(undefineDomain, { checkpointsMetadata: true });
  expect(one.state()).toBe('absent');
});
