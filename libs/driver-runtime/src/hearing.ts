/** What an actor hears from its guest: each piece of news becomes its state, its documents and its record, and is told as an event. */
import type { Actor, ActorHost } from './actor';
import type { NewEvent } from './telling';
import { backupEnded, backupGone } from './backup/running';
import type { GuestNews, ImagesNews } from './driver';
import { endOnItsWay } from './handed-over';
import { forgetLeft, restand } from './images-held';

/** The whole of it happens within one turn of the event loop. */
export function hear(actor: Actor, host: ActorHost, news: GuestNews): void {
  const { record } = actor;
  switch (news.kind) {
    case 'live':
      if (actor.guest) actor.setLive(actor.guest.live);
      forgetLeft(record, actor.live, news.leaving);
      actor.persist();
      return host.changed();
    case 'saved':
      return actor.persist();
    case 'images':
      return imagesChanged(actor, news);
    case 'backup-ended':
      return backupEnded(actor, news);
    case 'event':
      if (record.incoming !== undefined) return;
      return actor.emit({ ...news, cause: causeOf(actor, news) });
    case 'state': {
      record.state = news.to.state;
      record.reason = news.to.reason;
      if (!news.event || record.incoming !== undefined) return actor.persist();
      return actor.emit({ class: 'lifecycle', ...news.event, trigger: news.trigger, cause: causeOf(actor, news) });
    }
    case 'ended':
      return end(actor, host, news);
  }
}

function imagesChanged(actor: Actor, { chains, definition, event }: ImagesNews): void {
  const config = actor.config && definition(actor.config);
  actor.standsOn({ config: config === actor.config ? undefined : config, live: actor.guest?.live });
  restand(actor.record, chains);
  if (!event) return actor.persist();
  actor.emit({ ...event, cause: event.caused ? actor.current : null });
}

/** The guest's process is gone. While it was starting the start tells of it; there is no event then. */
function end(actor: Actor, host: ActorHost, news: GuestNews & { kind: 'ended' }): void {
  const cause = causeOf(actor, news);
  host.consoles.endOf(actor.uuid);
  backupGone(actor);
  if (actor.handedOver) return endOnItsWay(actor, actor.handedOver, news);
  actor.shutOff(news.to);
  if (actor.starting) actor.endedInStart = news;
  if (actor.starting || actor.record.incoming !== undefined) return actor.persist();
  tellStopped(actor, news, cause);
  if (!actor.record.persistent && !actor.active) host.gone(actor);
}

export function tellStopped(
  actor: Actor,
  { detail, data, trigger }: GuestNews & { kind: 'ended' },
  cause: NewEvent['cause'],
): void {
  actor.emit({ class: 'lifecycle', type: 'stopped', detail, data, trigger, cause });
}

/** The guest's power news are the effect of the command that asked it to shut down or reboot. */
function causeOf(actor: Actor, news: GuestNews & { kind: 'event' | 'state' | 'ended' }): NewEvent['cause'] {
  const { asked } = actor.record;
  if (news.kind === 'event' && news.class === 'balloon') return balloonCause(actor, news.data?.actualKiB);
  if (news.caused && actor.current) return actor.current;
  const power =
    news.kind === 'ended' ||
    (news.kind === 'state' && news.to.state === 'shutdown') ||
    (news.kind === 'event' && news.class === 'reboot');
  if (!asked || !power) return null;
  if (news.kind === 'event') actor.record.asked = undefined;
  return { id: asked, ...actor.record.askedBy };
}

function balloonCause(actor: Actor, actualKiB: unknown): NewEvent['cause'] {
  const { ballooning } = actor;
  if (ballooning?.kib === actualKiB) actor.ballooning = undefined;
  return ballooning ? { id: ballooning.id } : null;
}
