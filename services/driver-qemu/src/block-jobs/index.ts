/** Jobs on the images of a running guest: what each kind does at its end, and the engine that follows them. */
import { backupKind } from '../backup/kind';
import { activeCommitKind, commitKind } from './commit';
import { copyKind } from './copy';
import type { JobKinds } from './kind';
import type { BlockHost } from './nodes';
import { pullKind } from './pull';

export { JobEngine } from './engine';
export type { JobKinds } from './kind';
export { asksForNodes } from './node-turns';
export type { JobEnd, SavedJob } from './saved-job';
export { maskFlag } from './nodes';

export const jobKinds = (host: BlockHost): JobKinds => ({
  pull: pullKind(host),
  commit: commitKind(host),
  'active-commit': activeCommitKind(host),
  copy: copyKind(host),
  backup: backupKind(host),
});
