import { figure, quantile } from './figure';

test('the figure of several runs is their median, with the fastest and the slowest', () => {
  expect(figure([9, 1, 4, 2])).toEqual({ value: 3, min: 1, max: 9, runs: 4 });
});

test('a quantile lies between the two runs that are nearest to it', () => {
  const hundred = Array.from({ length: 101 }, (_, n) => n);
  expect(quantile(hundred, 0.99)).toBe(99);
  expect(quantile([10, 20], 0.25)).toBe(12.5);
});

test('no runs give no figure', () => {
  expect(figure([]).value).toBeNaN();
});
