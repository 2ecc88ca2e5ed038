/** A job on the images of a running guest's disk: what lists, answers and events tell of it. */
import { z } from 'zod';

const bytes = z.number().int().nonnegative();

/** libvirt's types; `active-commit` is a commit of the image that the guest writes to. */
export const BlockJobType = z.enum(['pull', 'copy', 'commit', 'active-commit', 'backup']);
export type BlockJobType = z.infer<typeof BlockJobType>;

/**
 * - `new`: QEMU has not said yet that it runs
 * - `ready`: source and target are alike and are kept so, until somebody pivots or aborts
 * - `pending`: the work is done and waits to be made final together with other jobs
 * - `pivoting`, `aborting`: it was told to end
 * - `concluded`: QEMU has ended it, we are tidying up
 */
export const BlockJobState = z.enum(['new', 'running', 'ready', 'pending', 'pivoting', 'aborting', 'concluded']);
export type BlockJobState = z.infer<typeof BlockJobState>;

export const BlockJob = z
  .object({
    id: z.string().describe('its name in QEMU, unique among the jobs of the guest'),
    type: BlockJobType,
    disk: z.string().describe('target: vda, sda, …'),
    state: BlockJobState,
    processed: bytes.describe('bytes done'),
    total: bytes.describe('bytes to do; rises while the guest writes'),
    bandwidth: bytes.describe('limit, bytes per second; 0 is none'),
    path: z.string().optional().describe('the active image of the disk'),
    mirror: z.string().optional().describe('where a copy or a backup is written to, or the base of an active commit'),
    command: z.string().optional().describe('id of the command that began it'),
  })
  .describe('a block job');
export type BlockJob = z.infer<typeof BlockJob>;
