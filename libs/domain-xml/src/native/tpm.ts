/** `-tpmdev`: the host's own TPM, or one that a program serves on a socket. */
import { peek, type Attempt, type Draft } from './draft';
import { NotUnderstood } from './not-understood';
import type { Places } from './places';
import type { Values } from './values';

const models: Readonly<Record<string, 'tpm-tis' | 'tpm-crb' | 'tpm-spapr'>> = {
  'tpm-tis': 'tpm-tis',
  'tpm-tis-device': 'tpm-tis',
  'tpm-crb': 'tpm-crb',
  'tpm-spapr': 'tpm-spapr',
};

export function readTpms(draft: Draft, places: Places): void {
  for (const option of draft.open('-device')) {
    const model = models[peek(option, 'driver') ?? ''];
    if (!model) continue;
    draft.understand(option, (attempt, values) => {
      for (const known of ['driver', 'id']) values.take(known);
      const backend = backendOf(attempt, attempt.backend('-tpmdev', values.take('tpmdev') ?? ''));
      const place = places.address(values);
      return () => draft.add('tpms', { model, backend, ...place });
    });
  }
}

function backendOf(attempt: Attempt, values: Values) {
  const type = values.take('type');
  if (type === 'passthrough') return { type, device: { path: values.take('path') ?? '/dev/tpm0' } } as const;
  if (type !== 'emulator') throw new NotUnderstood(`TPM backend '${type}' has no place in a document`);
  const socket = attempt.backend('-chardev', values.take('chardev') ?? '');
  if (socket.take('backend') !== 'socket') throw new NotUnderstood('its emulator is not reached over a socket');
  return { type: 'external', source: { type: 'unix', mode: 'connect', path: socket.take('path') } } as const;
}
