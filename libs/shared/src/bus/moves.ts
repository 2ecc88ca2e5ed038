/** Puts an event of the migration service into the stream, with the attributes of CloudEvents as headers. */
import { headers } from 'nats';
import { moveEventSubject, streams } from '../contracts/subjects';
import type { MoveEvent } from '../model/move-event';
import { encode } from './codec';
import type { Bus } from './connection';

/** Resolves once it is stored; an event whose id the stream has seen within the last hour is not stored again. */
export async function publishMove(bus: Bus, event: MoveEvent): Promise<void> {
  const { id, entity, type, time, commandId } = event;
  const of = entity === 'migration' ? event.domain : event.host;
  const h = headers();
  h.set('ce-specversion', '1.0');
  h.set('ce-id', id);
  h.set('ce-type', `virtbus.${entity}.${type}`);
  h.set('ce-source', '/services/migration');
  h.set('ce-subject', of);
  h.set('ce-time', time);
  h.set('Virtbus-Command', commandId);
  const options = { msgID: id, headers: h, expect: { streamName: streams.events } };
  await bus.js.publish(moveEventSubject(event), encode(event, 'json'), options);
}
