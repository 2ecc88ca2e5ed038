/** What going back to a snapshot makes of a domain's disks, and which images it leaves. */
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseDomain, type Domain } from '@virtbus/domain-xml';
import { parseSnapshot, type Snapshot } from '@virtbus/domain-xml/snapshot';
import { silent as log } from '@virtbus/shared/log';
import type { Actor } from '../actor';
import { snapshotsOf } from './index';
import {
  abandonedBy,
  excludedDisks,
  finishRevert,
  newOverlays,
  untoldStates,
  withKept,
  writtenOver,
} from './reverting';

let folder: string;
beforeEach(() => (folder = mkdtempSync(join(tmpdir(), 'vb-reverting-'))));
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const uuid = 'c7a5fdbd-edaf-9455-926a-d65c16db1809';

type Images = Record<string, string>;

const domainXml = (images: Images): string => `<domain type='qemu'><name>web1</name><uuid>${uuid}</uuid>
  <memory>65536</memory><os><type>hvm</type></os><devices>${Object.entries(images)
    .map(
      ([target, file]) => `<disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='${file}'/>
    <target dev='${target}' bus='virtio'/></disk>`,
    )
    .join('')}</devices></domain>`;

const domainOn = (images: Images): Domain => parseDomain(domainXml(images), { mode: 'inactive' }).domain;

const filesOf = ({ devices }: Domain): Images =>
  Object.fromEntries(devices.disks.map(({ target, source }) => [target.dev ?? '', source?.file ?? '']));

/** A snapshot of these images; disks without an overlay are not part of it. */
const snapshot = (name: string, from: Images, overlays: Images, parent = ''): Snapshot =>
  parseSnapshot(
    `<domainsnapshot><name>${name}</name><state>shutoff</state><creationTime>1</creationTime>
      ${parent ? `<parent><name>${parent}</name></parent>` : ''}<disks>${Object.keys(from)
        .map((target) =>
          overlays[target] === undefined
            ? `<disk name='${target}' snapshot='no'/>`
            : `<disk name='${target}' snapshot='external' type='file'><source file='${overlays[target]}'/></disk>`,
        )
        .join('')}</disks>${domainXml(from)}<active>0</active></domainsnapshot>`,
    { form: 'stored' },
  );

/** As much of a domain as going back looks at. */
function domainWith(current: string, images: Images, snapshots: readonly Snapshot[]): Actor {
  const actor = {
    folders: { state: folder },
    log,
    record: { snapshot: { current } },
    document: domainOn(images),
    config: domainOn(images),
    emit: () => undefined,
  } as unknown as Actor;
  for (const one of snapshots) snapshotsOf(actor).keep(one);
  return actor;
}

const file = (name: string): string => join(folder, name);

describe('new overlays', () => {
  const filesFor = (one: Snapshot): (string | undefined)[] => newOverlays(one, 17).map(({ source }) => source?.file);

  test('of disks whose images differ in their suffix alone have names of their own', () => {
    const suffixes = { vda: '/i/web.qcow2', vdb: '/i/web.raw' };
    const targets = { vda: '/i/web.vda', vdb: '/i/web.vdb' };
    for (const images of [suffixes, targets])
      expect(filesFor(snapshot('one', images, { vda: '/o/a', vdb: '/o/b' }))).toEqual([
        '/i/web.vda.17',
        '/i/web.vdb.17',
      ]);
  });

  test('upon those of an earlier return have no longer names', () => {
    expect(filesFor(snapshot('one', { vda: '/i/web.vda.16' }, { vda: '/i/web.vda.one' }))).toEqual(['/i/web.vda.17']);
  });

  test('upon a device lie beside the overlay that is a file, and are refused where that is a device too', () => {
    const onDevice = (overlay: string): Snapshot =>
      parseSnapshot(
        `<domainsnapshot><name>one</name><state>shutoff</state><creationTime>1</creationTime><disks>${overlay}</disks>
          ${domainXml({ vda: '' }).replace("<disk type='file'", "<disk type='block'").replace("file=''", "dev='/dev/vg/web'")}
          <active>0</active></domainsnapshot>`,
        { form: 'stored' },
      );
    const file = `<disk name='vda' snapshot='external' type='file'><source file='/i/web.one'/></disk>`;
    const device = `<disk name='vda' snapshot='external' type='block'><source dev='/dev/vg/one'/></disk>`;
    const refused = "cannot make a new overlay for disk 'vda' of snapshot 'one'";
    expect(filesFor(onDevice(file))).toEqual(['/i/web.vda.17']);
    expect(() => filesFor(onDevice(device))).toThrow(refused);
    expect(() => filesFor(onDevice(file.replace('/i/web.one', '/dev/vg/one')))).toThrow(refused);
  });
});

describe('a snapshot of one disk of two, and a later one of both', () => {
  const part = (): Snapshot => snapshot('part', { vda: file('a0'), vdb: file('b0') }, { vda: file('a1') });
  const whole = (): Snapshot =>
    snapshot('whole', { vda: file('a1'), vdb: file('b0') }, { vda: file('a2'), vdb: file('b1') }, 'part');
  const domain = (): Actor => domainWith('whole', { vda: file('a2'), vdb: file('b1') }, [part(), whole()]);

  test('the disk that the first excludes keeps what it stands on', () => {
    const [actor, back] = [domain(), part()];
    const kept = excludedDisks(actor, back);
    expect(filesOf(withKept(back.domain!, kept))).toEqual({ vda: file('a0'), vdb: file('b1') });
    expect(writtenOver(snapshotsOf(actor).all, back, kept)).toBeUndefined();
  });

  test('only the overlay of the disk that goes back is given up', () => {
    const [actor, back] = [domain(), part()];
    for (const name of ['a2', 'b1']) writeFileSync(file(name), '');
    (actor as { config: Domain }).config = domainOn({ vda: file('a3'), vdb: file('b1') });
    finishRevert(actor, back, [], new Set([file('a2'), file('b1')]));
    expect([existsSync(file('a2')), existsSync(file('b1'))]).toEqual([false, true]);
    (actor as { config: Domain }).config = domainOn({ vda: file('a3') });
    actor.record.snapshot = { current: 'whole' };
    finishRevert(actor, back, [], new Set([file('b1')]));
    expect(existsSync(file('b1'))).toBe(true);
  });

  test('what others may stand on is left', () => {
    const [actor, back] = [domain(), part()];
    writeFileSync(file('a2'), '');
    (actor as { config: Domain }).config = domainOn({ vda: file('a3'), vdb: file('b1') });
    finishRevert(actor, back, [], new Set([file('other')]));
    expect(existsSync(file('a2'))).toBe(true);
  });

  test('what had to be left goes with a later return', () => {
    const actor = domain();
    writeFileSync(file('a3'), '');
    const onto = (name: string) => snapshot('s', { vda: file('a0') }, { vda: file(name) }).disks;
    finishRevert(actor, part(), onto('a3'), new Set());
    finishRevert(actor, whole(), onto('a4'), new Set());
    expect(existsSync(file('a3'))).toBe(true);
    expect(actor.record.snapshot?.givenUp).toMatchObject([{ upon: 'part', image: { source: { file: file('a3') } } }]);
    actor.record.snapshot = JSON.parse(JSON.stringify(actor.record.snapshot)) as Actor['record']['snapshot'];
    finishRevert(actor, whole(), onto('a5'), new Set([file('a3')]));
    expect([existsSync(file('a3')), actor.record.snapshot]).toEqual([false, { current: 'whole' }]);
  });

  test('a disk that has been taken away since does not come back on what the second keeps', () => {
    const actor = domainWith('whole', { vda: file('a2') }, [part(), whole()]);
    const kept = excludedDisks(actor, part());
    expect([...kept.keys()]).toEqual([]);
    expect(writtenOver(snapshotsOf(actor).all, part(), kept)).toBe('whole');
  });
});

test('an overlay stays that the state of another snapshot stands on, with one between them that nobody describes', () => {
  const [base, first, second, third] = ['base', 'o1', 'o2', 'o3'].map(file) as [string, string, string, string];
  for (const path of [base, first, second, third]) writeFileSync(path, '');
  const below = (path: string, rest = ''): string =>
    `<backingStore type='file'><format type='qcow2'/><source file='${path}'/>${rest}</backingStore>`;
  const state = domainXml({ vda: second }).replace('<target', `${below(first, below(base))}<target`);
  const later = {
    ...snapshot('s3', { vda: second }, { vda: third }),
    domain: parseDomain(state, { mode: 'live' }).domain,
  };
  const earlier = snapshot('s1', { vda: base }, { vda: first });
  const actor = domainWith('s3', { vda: file('new') }, [earlier, later]);
  finishRevert(actor, earlier, [], new Set([first, second, third]));
  expect([first, second, third].map((path) => existsSync(path))).toEqual([true, true, false]);
});

describe('states of which no document tells what lies below', () => {
  const [base, first, second, third] = ['/i/base', '/i/o1', '/i/o2', '/i/o3'];
  const one = (): Snapshot => snapshot('s1', { vda: base }, { vda: first });
  const untold = (later: readonly Snapshot[], current: string, back: Snapshot): (string | undefined)[] => {
    const actor = domainWith(current, { vda: file('now') }, [one(), ...later]);
    return untoldStates(actor, abandonedBy(actor, back)).map(({ source }) => source?.file);
  };

  test('may stand on what is given up, with a snapshot between that nobody describes', () => {
    expect(untold([snapshot('s3', { vda: second }, { vda: third }, 's1')], 's3', one())).toEqual([second]);
  });

  test('do not where they came before it', () => {
    const two = snapshot('s2', { vda: first }, { vda: second }, 's1');
    expect(untold([two], 's2', two)).toEqual([]);
  });

  test('do not where their documents name what it was put upon', () => {
    const below = `<backingStore type='file'><format type='qcow2'/><source file='${base}'/></backingStore>`;
    const state = domainXml({ vda: second }).replace('<target', `${below}<target`);
    const three = snapshot('s3', { vda: second }, { vda: third }, 's1');
    const told = { ...three, domain: parseDomain(state, { mode: 'inactive' }).domain };
    expect(untold([told], 's3', one())).toEqual([]);
  });
});
