/** The file with a guest's firmware variables: made from the template at its first start. */
import { chownSync, copyFileSync, existsSync, mkdirSync, renameSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Domain } from '@virtbus/domain-xml';
import { VirtError } from '@virtbus/shared';
import type { RunUser } from './run-user';

export function prepareNvram(domain: Domain, user: RunUser | undefined): void {
  const { nvram } = domain.os;
  if (!nvram?.path || existsSync(nvram.path)) return;
  if (!nvram.template) {
    throw new VirtError('OPERATION_FAILED', {
      detail: `the nvram file '${nvram.path}' does not exist and the document names no template to make it from`,
    });
  }
  try {
    mkdirSync(dirname(nvram.path), { recursive: true, mode: 0o711 });
    // Whole or not there: nobody makes it a second time.
    const part = `${nvram.path}.part`;
    copyFileSync(nvram.template, part);
    if (user) chownSync(part, user.uid, user.gid);
    renameSync(part, nvram.path);
  } catch (cause) {
    const detail = `cannot make the nvram file '${nvram.path}' from '${nvram.template}': ${(cause as Error).message}`;
    throw new VirtError('SYSTEM_ERROR', { detail }, { cause });
  }
}
