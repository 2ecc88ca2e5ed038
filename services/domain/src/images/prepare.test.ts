/** What is prepared for a command, and let go again, between a driver, storage and a fleet's book that say what a test has them say. */
import { driverSubject, VirtError, type DomainSummary, type ImageLease, type Prepared } from '@virtbus/shared';
import { decode, encode, type Call } from '@virtbus/shared/bus';
import { eventually } from '@virtbus/testkit';
import type { Fleet } from '../fleet';
import { withImages } from './prepare';

const uuid = '00000000-0000-4000-8000-000000000001';
const disk = "<disk type='file' device='disk'><source file='/a'/><target dev='vda' bus='virtio'/></disk>";
const lease: ImageLease = { identity: 'file:1:2', path: '/a', mode: 'exclusive', target: 'vda', fleet: true };
const other = { domain: 'other', name: 'other', host: 'h1', driver: 'qemu', epoch: 1, claim: 'o' };

type Body = Record<string, unknown>;

class Stand {
  /** What was asked of whom, in order. */
  readonly did: string[] = [];
  /** Claims that the driver never begins. */
  readonly revoked = new Set<string>();
  /** Claims that it has begun. */
  uses: string[] = [];
  /** What the fleet's book answers, one after the other; then that the image is free. */
  met: (() => typeof other)[] = [];
  /** What becomes of the command once it is sent. */
  end: (prepared: Prepared | undefined) => Promise<void> = async () => undefined;
  private readonly fleet: Fleet;

  constructor() {
    const answers: Record<string, (body: Body) => unknown> = {
      [driverSubject('h1', 'qemu', 'storage')]: (body) => this.look(body),
      [driverSubject('h1', 'storage', 'prepare')]: ({ claim }) => {
        this.did.push(`prepare ${claim as string}`);
        return { disks: [], images: [], missing: [], leases: [lease], conflicts: [], released: [] };
      },
      [driverSubject('h1', 'storage', 'settle')]: ({ revoked }) => {
        for (const claim of revoked as string[]) this.did.push(`let go ${claim}`);
        return { released: [], holds: [], unread: [], differs: [] };
      },
      [driverSubject('h1', 'storage', 'leases')]: () => ({ holders: [], preparing: [] }),
    };
    this.fleet = {
      bus: {
        settling: () => false,
        connected: () => true,
        onReconnect: () => () => undefined,
        bodies: { outgoing: (body: Uint8Array) => body, incoming: (body: Uint8Array) => body },
        nc: {
          isClosed: () => false,
          request: async (subject: string, body: Uint8Array) => {
            const answer = answers[subject];
            if (!answer) throw new Error(`nobody is at ${subject}`);
            return { data: encode(answer(decode(body) as Body), 'msgpack') };
          },
        },
      },
      leases: {
        take: async () => {
          const answer = this.met.shift();
          return answer ? [{ lease, holder: answer() }] : [];
        },
        drop: async () => undefined,
        hold: async () => [],
      },
      log: { debug: () => undefined, info: () => undefined, warn: () => undefined },
    } as unknown as Fleet;
  }

  private look({ revoke = [] }: Body): unknown {
    for (const claim of revoke as string[]) {
      this.revoked.add(claim);
      this.did.push(`revoke ${claim}`);
    }
    return {
      ...{ known: true, since: 0, name: 'g', epoch: 1, revision: 7, active: false },
      ...{ definition: [disk], mayMiss: [], live: [], uses: this.uses.map((claim) => ({ claim })) },
    };
  }

  /** Gives the command once; the claim that it was sent with. */
  async give(id: string): Promise<string | undefined> {
    const subject = { host: 'h1', driver: 'qemu', uuid, name: 'g', epoch: 1 };
    const deadline = performance.now() + 30_000;
    const call = { id, deadline, timeoutMs: 30_000 } as unknown as Call;
    let sent: string | undefined;
    await withImages(this.fleet, subject, call, { disks: ({ definition }) => definition }, async (prepared) => {
      sent = prepared?.claim;
      // What it has begun is one command, however often it comes.
      if (sent !== undefined && this.revoked.has(sent) && !this.uses.includes(sent)) {
        throw new VirtError('RESOURCE_BUSY', { detail: 'it has changed since its disks were prepared' });
      }
      await this.end(prepared);
      return { domain: { revision: 9 } as DomainSummary };
    });
    return sent;
  }
}

let stand: Stand;
beforeEach(() => (stand = new Stand()));

const isHeld = (): typeof other => other;
const isAway = (): never => {
  throw new VirtError('RPC', { detail: 'JetStream is away' });
};

describe('what was taken for a command and is not sent', () => {
  test('is let go once its driver will never begin it, and taken anew under another claim', async () => {
    stand.met = [isHeld];
    const sent = await stand.give('c');
    expect(stand.did).toEqual(['prepare c', 'revoke c', 'let go c', `prepare ${sent}`]);
    expect(sent).not.toBe('c');
  });

  test.each([
    ['somebody is in the way', isHeld],
    ["the fleet's book is away", isAway],
  ])('stays where another copy of the service has sent it meanwhile: %s', async (_what, met) => {
    const begun = (): typeof other => {
      // That copy's command reaches the driver while we write into the book of the fleet.
      stand.uses = ['c'];
      return met();
    };
    stand.met = [begun];
    expect(await stand.give('c')).toBe('c');
    expect(stand.did).toEqual(['prepare c', 'revoke c']);
  });

  test('goes with the failure of the book of the fleet', async () => {
    stand.met = [isAway];
    await expect(stand.give('c')).rejects.toMatchObject({ code: 'RPC' });
    expect(stand.did).toEqual(['prepare c', 'revoke c', 'let go c']);
  });
});

test('what is refused because the domain has changed is let go by its driver alone: another copy may have prepared it since', async () => {
  stand.revoked.add('c');
  const sent = await stand.give('c');
  expect(sent).toBe('c.2');
  expect(stand.did).toEqual(['prepare c', 'revoke c', 'let go c', 'prepare c.2']);
});

test('a command whose answer was lost again and again is begun when it is given once more', async () => {
  stand.end = async () => {
    throw new VirtError('OPERATION_TIMEOUT', { detail: 'no answer' });
  };
  for (let n = 1; n <= 6; n++) {
    await expect(stand.give('c')).rejects.toMatchObject({ code: 'OPERATION_TIMEOUT' });
    // The driver is told never to begin what may still be on its way.
    await eventually(() => stand.revoked.size, n);
  }
  stand.end = async () => undefined;
  expect(await stand.give('c')).toMatch(/^c\./);
});

test('a command that comes again while its guest holds images under its id takes others under another claim', async () => {
  stand.uses = ['c'];
  expect(await stand.give('c')).toMatch(/^c\../);
});
