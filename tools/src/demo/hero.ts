/** The domain that a demo is about: defined, followed, commanded and asked for its state. */
import { defineDomain, getDomain, type Contract, type RequestInput } from '@virtbus/shared';
import { call, newId, type Bus } from '@virtbus/shared/bus';
import { EventWatch } from './event-watch';
import { replay } from './replay';

export interface Stage {
  bus: Bus;
  say: (line: string) => void;
  xml: string;
}

export class Hero implements AsyncDisposable {
  /** Which command each id stands for. */
  private readonly given = new Map<string, string>();

  private constructor(
    private readonly stage: Stage,
    readonly uuid: string,
    readonly host: string,
    readonly events: EventWatch,
  ) {}

  static async define(stage: Stage): Promise<Hero> {
    const { uuid, name, host } = (await call(stage.bus, defineDomain, { xml: stage.xml })).domain;
    stage.say(`defined '${name}' on host '${host}' (${uuid})`);
    return new Hero(stage, uuid, host, await EventWatch.open(stage.bus, uuid));
  }

  readonly command = async <C extends Contract>(contract: C, request: RequestInput<C>): Promise<void> => {
    const id = newId();
    this.given.set(id, contract.operation);
    await call(this.stage.bus, contract, request, { target: this.uuid, id });
  };

  readonly stateIs = async (wanted: string): Promise<void> => {
    const { domain } = await call(this.stage.bus, getDomain, {}, { target: this.uuid });
    if (domain.state !== wanted) throw new Error(`the domain is ${domain.state}(${domain.reason}), not ${wanted}`);
  };

  /** The log of its life, as the stream has it. */
  replay(): Promise<void> {
    return replay(this.stage.bus, this.uuid, this.given, this.stage.say);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.events[Symbol.asyncDispose]();
  }
}
