/** A guest that two libvirtds hand to each other, as a client asks them to that speaks to both. */
import { type TemporaryFolder } from '@virtbus/testkit';
import { type CleanUp } from '../cleanup';
import { type MoveTiming } from '../measure/move';
import { Libvirt } from './libvirt';
import { MonitoredGuest } from './monitored-guest';
import { type QmpMonitor } from './qmp';

export class LibvirtMigration {
  private constructor(
    private readonly libvirt: Libvirt,
    private readonly name: string,
    private readonly hosts: readonly [string, string],
    private readonly guest: MonitoredGuest,
    private at = 0,
  ) {}

  /**
   * @param xml of the guest, for an emulator
   * @throws LibvirtAbsent where libvirtd cannot be had
   */
  static async start(
    folder: TemporaryFolder,
    cleanUp: CleanUp,
    uuid: string,
    xml: (emulator: string) => string,
  ): Promise<LibvirtMigration> {
    const { libvirt, hosts } = await Libvirt.startPair(folder, cleanUp);
    const name = await libvirt.define(xml(libvirt.monitored.path));
    await libvirt.change('start', name);
    return new LibvirtMigration(libvirt, name, hosts, await MonitoredGuest.find(libvirt.monitored, uuid));
  }

  get monitor(): QmpMonitor {
    return this.guest.monitor;
  }

  async move(): Promise<MoveTiming> {
    this.at = 1 - this.at;
    return this.guest.move(() => this.libvirt.migrate(this.name, this.hosts[this.at]!));
  }

  async end(): Promise<void> {
    await this.libvirt.change('destroy', this.name);
    await this.libvirt.undefine(this.name);
  }
}
