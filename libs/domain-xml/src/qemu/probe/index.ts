/** From a QMP conversation to what a binary can do: pure, whoever holds the conversation. */
import { createHash } from 'node:crypto';
import * as rules from './flag-rules';

export type { ProbeCommands, QmpPeer } from './answers';
export { deriveCapabilities } from './derive';

/** What is kept of the answers; rises when more is. */
const layout = 2;

/** Changes whenever a rule does: what was derived by others has to be derived again. */
export const probeRulesDigest = createHash('sha256')
  .update(JSON.stringify({ ...rules, layout }))
  .digest('hex')
  .slice(0, 16);
