/**
 * The platform of docker-compose.yml for a file of tests, with images of this checkout, and on it a guest and a container
 * that run.
 */
import { copyFileSync, chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { getDomain } from '@virtbus/shared';
import { call, type Bus } from '@virtbus/shared/bus';
import { eventually, tinyGuest, tinyRootfs } from '@virtbus/testkit';
import { Engine } from './engine';
import { buildImages } from './images';
import { Platform } from './platform';

export class ContainersStand implements AsyncDisposable {
  /** A connection as admin. */
  bus!: Bus;
  /** The domain `tiny`, and the process that it is; the container is `c1`. */
  guest!: { uuid: string; pid: number };

  private constructor(
    private readonly folder: string,
    private readonly engine: Engine,
    readonly platform: Platform,
  ) {}

  /** Takes minutes: the images are built, and made from nothing where no registry gives their base. */
  static async start(): Promise<ContainersStand> {
    const folder = mkdtempSync(join(tmpdir(), 'vbc-'));
    chmodSync(folder, 0o711);
    let engine: Engine | undefined;
    try {
      engine = await Engine.start(folder);
      const began = Date.now();
      const sizes = await buildImages(engine, 'test', folder);
      process.stderr.write(`images, built in ${Math.round((Date.now() - began) / 1000)} s:\n${sizes.join('\n')}\n`);
      return new ContainersStand(folder, engine, await Platform.start(engine, folder, 'test'));
    } catch (error) {
      await engine?.[Symbol.asyncDispose]();
      rmSync(folder, { recursive: true, force: true });
      throw error;
    }
  }

  /** As a person would, with the CLI, once the drivers of the host are online. */
  async populate(): Promise<void> {
    const { platform } = this;
    const online = async (): Promise<number> => ((await platform.virtbus('hosts')).match(/ online /g) ?? []).length;
    await eventually(online, 2, { timeoutMs: 60_000, intervalMs: 500 });
    const { kernel, initrd, append } = await tinyGuest();
    copyFileSync(kernel, join(platform.images, 'vmlinuz'));
    copyFileSync(initrd, join(platform.images, 'initramfs.gz'));
    for (const name of ['vmlinuz', 'initramfs.gz']) chmodSync(join(platform.images, name), 0o644);
    await tinyRootfs(join(platform.images, 'c1'));
    chmodSync(platform.images, 0o755);
    await this.define(
      'tiny',
      `<domain type='qemu'><name>tiny</name><memory unit='MiB'>128</memory><vcpu>1</vcpu>
      <os><type arch='x86_64' machine='q35'>hvm</type><kernel>/srv/virtbus/vmlinuz</kernel>
        <initrd>/srv/virtbus/initramfs.gz</initrd><cmdline>${append}</cmdline></os>
      <devices><serial type='pty'/></devices></domain>`,
    );
    await this.define(
      'c1',
      `<domain type='lxc'><name>c1</name><memory unit='MiB'>64</memory><vcpu>1</vcpu>
      <os><type>exe</type><init>/sbin/init</init></os><features><privnet/></features>
      <devices><filesystem type='mount'><source dir='/srv/virtbus/c1'/><target dir='/'/></filesystem>
        <console type='pty'/></devices></domain>`,
    );
    await platform.virtbus('start', 'tiny');
    await platform.virtbus('start', 'c1');
    this.bus = await platform.connect();
    const { domain } = await call(this.bus, getDomain, {}, { target: 'tiny' });
    this.guest = { uuid: domain.uuid, pid: platform.guests()[0]! };
  }

  async state(domain: string): Promise<string> {
    return (await call(this.bus, getDomain, {}, { target: domain })).domain.state;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.platform[Symbol.asyncDispose]();
    await this.engine[Symbol.asyncDispose]();
    rmSync(this.folder, { recursive: true, force: true });
  }

  private async define(name: string, xml: string): Promise<void> {
    writeFileSync(join(this.platform.images, `${name}.xml`), xml, { mode: 0o644 });
    await this.platform.virtbus('define', `/srv/virtbus/${name}.xml`);
  }
}
