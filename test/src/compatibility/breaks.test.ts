import { z } from 'zod';
import { breaksBetween, type Direction, type Schema } from './breaks';

const told = (direction: Direction, before: z.ZodType, now: z.ZodType): string[] => {
  const schema = (of: z.ZodType): Schema =>
    z.toJSONSchema(of, { io: direction === 'request' ? 'input' : 'output' }) as Schema;
  return breaksBetween(schema(before), schema(now), direction).map(({ field, what }) => `${field}: ${what}`);
};
const of = (shape: z.ZodRawShape): z.ZodType => z.object(shape);
const old = of({ name: z.string(), mode: z.enum(['a', 'b']), size: z.number().max(10).optional() });

test.each<[string, Direction, z.ZodType, z.ZodType]>([
  [
    'a new optional field of a request',
    'request',
    old,
    of({
      name: z.string(),
      mode: z.enum(['a', 'b']),
      size: z.number().max(10).optional(),
      more: z.string().optional(),
    }),
  ],
  ['a new field with a default', 'request', of({}), of({ paused: z.boolean().default(false) })],
  ['a field that a request may leave out now', 'request', of({ a: z.string() }), of({ a: z.string().optional() })],
  ['a further value in a request', 'request', of({ a: z.enum(['x']) }), of({ a: z.enum(['x', 'y']) })],
  [
    'a further alternative of a request',
    'request',
    of({ a: z.string() }),
    of({ a: z.union([z.string(), z.number()]) }),
  ],
  ['a wider bound of a request', 'request', of({ a: z.number().max(10) }), of({ a: z.number().max(20) })],
  ['a new optional field of an answer', 'response', of({}), of({ a: z.string().optional() })],
  ['a field that is always in an answer now', 'response', of({ a: z.string().optional() }), of({ a: z.string() })],
  [
    'an integer where numbers were answered',
    'response',
    of({ a: z.number() }),
    of({ a: z.int().min(-9e15).max(9e15) }),
  ],
  ['one value less in an answer', 'response', of({ a: z.enum(['x', 'y']) }), of({ a: z.enum(['x']) })],
  ['one alternative less in an answer', 'response', of({ a: z.union([z.string(), z.null()]) }), of({ a: z.string() })],
])('%s breaks nobody', (_what, direction, before, now) => {
  expect(told(direction, before, now)).toEqual([]);
});

test.each<[string, Direction, z.ZodType, z.ZodType, string]>([
  [
    'a field that has become required',
    'request',
    of({ a: z.string().optional() }),
    of({ a: z.string() }),
    'a: has become required',
  ],
  ['a new required field', 'request', of({}), of({ a: z.string() }), 'a: is new and required'],
  ['a field that is gone from a request', 'request', of({ a: z.string() }), of({}), 'a: is gone'],
  [
    'a value that is refused',
    'request',
    old,
    of({ name: z.string(), mode: z.enum(['a']), size: z.number().max(10).optional() }),
    'mode: the value "b" is no longer taken',
  ],
  [
    'text that became a choice',
    'request',
    of({ a: z.string() }),
    of({ a: z.enum(['x']) }),
    'a: any value may come, where only some were possible',
  ],
  [
    'a type that is refused',
    'request',
    of({ a: z.number() }),
    of({ a: z.int() }),
    'a: its type was number and is integer',
  ],
  ['another type', 'request', of({ a: z.string() }), of({ a: z.number() }), 'a: its type was string and is number'],
  [
    'a narrower bound',
    'request',
    of({ a: z.number().max(20) }),
    of({ a: z.number().max(10) }),
    'a: its maximum is narrower',
  ],
  ['a shorter text', 'request', of({ a: z.string() }), of({ a: z.string().max(5) }), 'a: its maxLength is narrower'],
  [
    'another pattern',
    'request',
    of({ a: z.string().regex(/^a/) }),
    of({ a: z.string().regex(/^b/) }),
    'a: its pattern is another',
  ],
  [
    'an alternative that is refused',
    'request',
    of({ a: z.union([z.string(), z.number()]) }),
    of({ a: z.string() }),
    'a: its type was string or number and is string',
  ],
  [
    'null that is refused',
    'request',
    of({ a: z.string().nullable() }),
    of({ a: z.string() }),
    'a: its type was string or null and is string',
  ],
  [
    'a field deep below',
    'request',
    of({ a: z.array(of({ b: z.string() })) }),
    of({ a: z.array(of({})) }),
    'a[].b: is gone',
  ],
  [
    'a field of a map',
    'request',
    of({ a: z.record(z.string(), of({})) }),
    of({ a: z.record(z.string(), of({ b: z.string() })) }),
    'a{}.b: is new and required',
  ],
  ['a field that is gone from an answer', 'response', of({ a: z.string() }), of({}), 'a: is gone'],
  ['an optional field that is gone from an answer', 'response', of({ a: z.string().optional() }), of({}), 'a: is gone'],
  [
    'a field that may be absent',
    'response',
    of({ a: z.string() }),
    of({ a: z.string().optional() }),
    'a: may now be absent',
  ],
  ['a new field that services of old do not give', 'response', of({}), of({ a: z.string() }), 'a: is new and required'],
  [
    'a value that nobody knows',
    'response',
    of({ a: z.enum(['x']) }),
    of({ a: z.enum(['x', 'y']) }),
    'a: has the new value "y"',
  ],
  [
    'null that nobody expects',
    'response',
    of({ a: z.string() }),
    of({ a: z.string().nullable() }),
    'a: its type was string and is string or null',
  ],
  [
    'numbers where integers were',
    'response',
    of({ a: z.int() }),
    of({ a: z.number() }),
    'a: its type was integer and is number',
  ],
  [
    'anything where text was',
    'response',
    of({ a: z.string() }),
    of({ a: z.unknown() }),
    'a: its type was string and is anything',
  ],
  [
    'a choice that became text',
    'response',
    of({ a: z.enum(['x']) }),
    of({ a: z.string() }),
    'a: any value may come, where only some were possible',
  ],
])('%s is a break', (_what, direction, before, now, expected) => {
  expect(told(direction, before, now)).toContain(expected);
});

test('alternatives are told apart by their constant fields, and compared with their like', () => {
  const cat = z.object({ kind: z.literal('cat'), lives: z.number() });
  const dog = z.object({ kind: z.literal('dog'), name: z.string() });
  const both = of({ pet: z.discriminatedUnion('kind', [cat, dog]) });
  expect(
    told('request', both, of({ pet: z.discriminatedUnion('kind', [cat, dog.extend({ age: z.number() })]) })),
  ).toEqual(['pet.age: is new and required']);
  expect(told('request', both, of({ pet: z.discriminatedUnion('kind', [cat]) }))).toEqual([
    'pet: object with kind "dog" is no longer taken',
  ]);
  expect(told('response', of({ pet: z.discriminatedUnion('kind', [cat]) }), both)).toEqual([
    'pet: may be object with kind "dog", which was not possible',
  ]);
});
