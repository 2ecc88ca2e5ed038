/** How a backup of several disks ends, by how each of them did. */
import { VirtError } from '@virtbus/shared';
import type { QemuGuest } from '../guest';
import { tellEnd } from './kind';
import type { SavedBackup } from './saved-backup';

type End = 'completed' | 'failed' | 'canceled';

function ended(ends: readonly End[], more: Partial<SavedBackup> = {}, jobs: readonly object[] = []): unknown[] {
  const disks = ends.map((kind, at) => ({
    disk: `vd${'abc'[at]}`,
    exportName: '',
    total: 100,
    end: { kind, ...(kind === 'failed' && { error: 'no space' }) },
  }));
  const told: unknown[] = [];
  const guest = {
    saved: { backup: { xml: '', command: 'c', began: 0, begun: true, disks, ...more } },
    blockJobs: { jobs },
    tellSaved: () => undefined,
    tell: (news: unknown) => told.push(news),
  } as unknown as QemuGuest;
  tellEnd(guest);
  expect(guest.saved.backup === undefined).toBe(told.length > 0);
  return told;
}

const server = { type: 'unix', data: { path: '/s' } } as const;

test.each<[ends: End[], more: Partial<SavedBackup>, outcome: string, processed: number]>([
  [['completed', 'completed'], {}, 'completed', 200],
  [['completed', 'canceled'], {}, 'cancelled', 100],
  [['failed', 'canceled'], {}, 'failed', 0],
  [['canceled', 'canceled'], { server }, 'completed', 200],
  [['canceled', 'failed'], { server }, 'failed', 200],
])('disks that %j end a backup (%j) as %s', (ends, more, outcome, processed) => {
  expect(ended(ends, more)).toEqual([
    expect.objectContaining({ kind: 'backup-ended', outcome, total: 200, processed }),
  ]);
});

test('the reason of a failure is told', () => {
  expect(ended(['failed'])).toMatchObject([{ outcome: 'failed', error: 'no space' }]);
});

test('nothing is told while a disk is being copied, or of what never began', () => {
  expect(ended(['completed'], {}, [{ type: 'backup' }])).toEqual([]);
  expect(ended(['failed'], { begun: false })).toEqual([]);
});

test('an end that cannot be told is told again, and the backup is one until then', () => {
  const backup = { xml: '', command: 'c', began: 0, begun: true, disks: [] };
  const told: string[] = [];
  let isFull = true;
  const guest = {
    saved: { backup },
    blockJobs: { jobs: [] },
    tell: ({ outcome }: { outcome: string }) => {
      if (isFull) throw new VirtError('SYSTEM_ERROR', { detail: 'no space left on the device' });
      told.push(outcome);
    },
  } as unknown as QemuGuest;
  expect(() => tellEnd(guest)).toThrow('no space left');
  expect(guest.saved.backup).toBe(backup);
  isFull = false;
  tellEnd(guest);
  expect([guest.saved.backup, told]).toEqual([undefined, ['completed']]);
});
