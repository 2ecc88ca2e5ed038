/** Every domain operation that a driver serves; a contract without an entry here fails at start. */
import * as backup from './backup';
import * as blockJobs from './block-jobs';
import * as checkpoints from './checkpoints';
import * as definition from './definition';
import * as devices from './devices';
import * as disks from './disks';
import * as inside from './inside';
import * as lifecycle from './lifecycle';
import type { Op } from './op';
import * as resources from './resources';
import * as save from './save';
import * as snapshotCreate from './snapshot-create';
import * as snapshotDelete from './snapshot-delete';
import * as snapshotRevert from './snapshot-revert';
import * as snapshots from './snapshots';
import * as start from './start';
import * as stats from './stats';
import * as tuning from './tuning';

const isOp = (value: unknown): value is Op => typeof value === 'object' && value !== null && 'contract' in value;

export const ops: readonly Op[] = [
  backup,
  blockJobs,
  checkpoints,
  definition,
  devices,
  disks,
  inside,
  lifecycle,
  resources,
  save,
  snapshotCreate,
  snapshotDelete,
  snapshotRevert,
  snapshots,
  start,
  stats,
  tuning,
].flatMap((family) => Object.values(family).filter(isOp));
