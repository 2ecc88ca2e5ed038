/** What is done with prepared images of a command that fails, between a driver and a storage service that say what a test has them say. */
import { driverSubject, VirtError, type DomainSummary, type ErrorCode } from '@virtbus/shared';
import { decode, encode, type Call } from '@virtbus/shared/bus';
import type { Fleet } from '../fleet';
import { withImages, type Opening } from './prepare';

const uuid = '00000000-0000-4000-8000-000000000001';
const disk = `<disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='/a'/><target dev='vda' bus='virtio'/></disk>`;
const need = { name: 'overlay:vda', target: 'vda', use: 'create', disk };
const planned: Opening = { disks: () => [], command: { operation: 'snapshot-revert', request: {} } };

/** What the service asked of driver and storage when the command failed with this. */
async function askedAfter(code: ErrorCode, opening: Opening): Promise<string[]> {
  const asked: string[] = [];
  const look = { known: true, since: 0, name: 'g', epoch: 1, revision: 7, active: false, definition: [disk], live: [] };
  const answers: Record<string, unknown> = {
    [driverSubject('h1', 'qemu', 'storage')]: { ...look, uses: [], needs: opening.command ? [need] : [] },
    [driverSubject('h1', 'storage', 'prepare')]: { disks: [], images: [], leases: [], conflicts: [], released: [] },
    [driverSubject('h1', 'storage', 'settle')]: { released: [], holds: [], unread: [], differs: [] },
    [driverSubject('h1', 'storage', 'release')]: { released: [] },
  };
  const bus = {
    settling: () => false,
    connected: () => true,
    onReconnect: () => () => undefined,
    bodies: { outgoing: (body: Uint8Array) => body, incoming: (body: Uint8Array) => body },
    nc: {
      isClosed: () => false,
      request: async (subject: string, body: Uint8Array) => {
        const { undone } = decode(body) as { undone?: boolean };
        asked.push([...subject.split('.').slice(-2), undone ?? []].flat().join(' '));
        return { data: encode(answers[subject], 'msgpack') };
      },
    },
  };
  const leases = { drop: async () => undefined, take: async () => [] };
  const log = { debug: () => undefined, warn: () => undefined };
  const call = { id: 'c1', deadline: performance.now() + 10_000 } as Call;
  const subject = { uuid, name: 'g', epoch: 1, host: 'h1', driver: 'qemu' };
  const send = (): Promise<{ domain: DomainSummary }> =>
    Promise.reject(new VirtError('OPERATION_FAILED', { detail: '' }));
  const fails = () => send().catch((error: VirtError) => Promise.reject(Object.assign(error, { code })));
  const fleet = { bus, leases, log } as unknown as Fleet;
  await expect(withImages(fleet, subject, call, opening, fails)).rejects.toMatchObject({ code });
  return asked.slice(2);
}

test.each(['CONFIG_UNSUPPORTED', 'OPERATION_INVALID', 'OPERATION_FAILED'] as const)(
  'storage hears what the domain names now before anything goes that was made for a command refused with %s',
  async (code) => {
    expect(await askedAfter(code, planned)).toEqual(['qemu storage', 'storage settle true']);
  },
);

test.each(['HOST_OFFLINE', 'DOMAIN_BUSY', 'EPOCH_STALE'] as const)(
  'what was made for a command that its driver has not begun goes at once: %s',
  async (code) => {
    expect(await askedAfter(code, planned)).toEqual(['storage release true']);
  },
);

test('what was opened for a start that was refused is let go of at once', async () => {
  expect(await askedAfter('CONFIG_UNSUPPORTED', { disks: [disk] })).toEqual(['storage release true']);
});
