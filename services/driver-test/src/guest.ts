/** One simulated guest: it does at once what it is told, and tells of it as a real one does. */
import type { Domain } from '@virtbus/domain-xml';
import type { Guest, GuestNews, GuestSink, SavedGuest } from '@virtbus/driver-runtime';
import { resumedDetail, suspendedDetail, type ReasonOf } from '@virtbus/shared';
import type { Machine, Machines } from './machines';

export class TestGuest implements Guest {
  readonly saved: SavedGuest = {};

  constructor(
    readonly uuid: string,
    public live: Domain,
    private readonly machines: Machines,
    private readonly sink: GuestSink,
  ) {
    machines.onEnd(uuid, () =>
      this.tell({ kind: 'ended', to: { state: 'shutoff', reason: 'crashed' }, detail: 'failed' }),
    );
  }

  get machine(): Machine | undefined {
    return this.machines.read(this.uuid);
  }

  async resume(reason: ReasonOf<'running'>): Promise<void> {
    this.set('running');
    const event = { type: 'resumed', detail: resumedDetail(reason) } as const;
    this.tell({ kind: 'state', to: { state: 'running', reason }, event, caused: true });
  }

  async suspend(reason: ReasonOf<'paused'>): Promise<void> {
    this.set('paused');
    const event = { type: 'suspended', detail: suspendedDetail(reason) } as const;
    this.tell({ kind: 'state', to: { state: 'paused', reason }, event, caused: true });
  }

  async destroy({ reason, detail }: Parameters<Guest['destroy']>[0]): Promise<void> {
    this.machines.end(this.uuid);
    this.tell({ kind: 'ended', to: { state: 'shutoff', reason }, detail, caused: true });
  }

  /** The guest's own system ends. */
  powerOff(): void {
    this.tell({
      kind: 'state',
      to: { state: 'shutdown', reason: 'unknown' },
      event: { type: 'shutdown', detail: 'guest' },
    });
    this.machines.end(this.uuid);
    this.tell({ kind: 'ended', to: { state: 'shutoff', reason: 'shutdown' }, detail: 'shutdown' });
  }

  reboot(): void {
    this.tell({ kind: 'event', class: 'reboot', type: 'reboot' });
  }

  setMemory(kib: number): void {
    this.live = { ...this.live, currentMemory: kib };
    this.tell({ kind: 'live' });
    this.tell({ kind: 'event', class: 'balloon', type: 'change', data: { actualKiB: kib }, caused: true });
  }

  detach(): void {
    this.machines.forget(this.uuid);
  }

  private set(status: Machine['status']): void {
    this.machines.write(this.uuid, { since: Date.now(), ...this.machine, status });
  }

  private tell(news: GuestNews): void {
    this.sink(news);
  }
}
