/** Folders that are gone when the test is over. */
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface TemporaryFolder extends Disposable {
  readonly path: string;
  /** A path below the folder. */
  file(...parts: string[]): string;
}

/**
 * A new empty folder below TMPDIR. Others may pass through it (mode 0711), so that a QEMU under another user reaches what
 * it is given; the path is short, so that unix sockets fit below it (107 bytes).
 */
export function temporaryFolder(): TemporaryFolder {
  const path = mkdtempSync(join(tmpdir(), 'vb-'));
  chmodSync(path, 0o711);
  return {
    path,
    file: (...parts) => join(path, ...parts),
    [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 }),
  };
}
