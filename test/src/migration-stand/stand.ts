/**
 * A fleet whose hosts have networks of their own: two copies of the migration service, and on each host a QEMU driver and a
 * storage service. All hosts reach the same folder.
 */
import { chmodSync } from 'node:fs';
import type { Bus } from '@virtbus/shared/bus';
import { HostsInNamespaces, Stack, temporaryFolder, type TemporaryFolder } from '@virtbus/testkit';
import { TickListener } from './ticks';

export class MigrationStand implements AsyncDisposable {
  private constructor(
    readonly hosts: readonly string[],
    readonly namespaces: HostsInNamespaces,
    readonly shared: TemporaryFolder,
    readonly ticks: TickListener,
    readonly stack: Stack,
    readonly bus: Bus,
  ) {}

  static async start(hosts: readonly string[]): Promise<MigrationStand> {
    const namespaces = HostsInNamespaces.make(hosts);
    const shared = temporaryFolder();
    chmodSync(shared.path, 0o755);
    let ticks: TickListener | undefined;
    try {
      ticks = await TickListener.on(namespaces.outside);
      // Post-copy needs a guest that the kernel gives userfaultfd to.
      const env = {
        VIRTBUS_SHARED_FOLDERS: shared.path,
        VIRTBUS_QEMU_USER: 'root',
        VIRTBUS_MIGRATION_PATIENCE_MS: '15000',
      };
      const stack = await Stack.start({ hosts, namespaces, migrationServices: 2, env });
      return new MigrationStand(hosts, namespaces, shared, ticks, stack, await stack.connect());
    } catch (error) {
      await ticks?.[Symbol.asyncDispose]();
      namespaces[Symbol.dispose]();
      shared[Symbol.dispose]();
      throw error;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stack[Symbol.asyncDispose]();
    await this.ticks[Symbol.asyncDispose]();
    this.namespaces[Symbol.dispose]();
    this.shared[Symbol.dispose]();
  }
}
