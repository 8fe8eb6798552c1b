/**
 * What runs in the browser: draws the plots that stand in the page as JSON, with uPlot from the same page. Plain JavaScript
 * in a string, because it is part of a document that is written, not of this program.
 */
export const pageScript: string = `(() => {
  "use strict";
  const colors = ["#1f6feb", "#d1242f", "#2da44e", "#bf8700", "#8250df", "#0a7d8c", "#bc4c00", "#57606a"];
  const plots = JSON.parse(document.getElementById("plots").textContent);
  const short = (value) => value >= 1e6 ? value / 1e6 + " M" : value >= 1e4 ? value / 1e3 + " k" : String(value);
  plots.forEach((plot, index) => {
    const target = document.getElementById("plot-" + index);
    const bars = plot.kind === "bars";
    const ticks = plot.ticks;
    const xAxis = { label: plot.xLabel === "" ? undefined : plot.xLabel, grid: { show: !bars } };
    if (bars && plot.x.length > 3) {
      xAxis.rotate = -20;
      xAxis.size = 90;
    }
    if (ticks) {
      xAxis.splits = () => ticks.map((tick) => tick[0]);
      xAxis.values = () => ticks.map((tick) => tick[1]);
    }
    const last = plot.x.length - 1;
    const x = { time: false };
    if (bars) x.range = () => [-0.5, last + 0.5];
    const y = plot.yLogarithmic ? { distr: 3 } : { range: (self, min, max) => [0, max > 0 ? max * 1.08 : 1] };
    const yAxis = { label: plot.yLabel, size: 72 };
    if (!plot.yLogarithmic) yAxis.values = (self, splits) => splits.map(short);
    const series = plot.series.map((each, at) => ({
      label: each.label,
      stroke: colors[at % colors.length],
      width: 2,
      points: { show: !bars && plot.x.length < 3 },
      fill: bars ? colors[at % colors.length] + "b0" : undefined,
      paths: bars ? uPlot.paths.bars({ size: [0.6, 90] }) : undefined,
    }));
    const label = (self, value, seriesIndex, at) =>
      at == null ? "" : ticks && bars ? ticks[at][1] : plot.yLogarithmic && value != null ? (100 - 100 / 10 ** value).toFixed(3) + " %" : value;
    new uPlot({
      title: plot.title,
      width: Math.max(320, Math.min(980, target.clientWidth)),
      height: 320,
      scales: { x, y },
      axes: [xAxis, yAxis],
      series: [{ label: plot.xLabel === "" ? "of" : plot.xLabel, value: label }, ...series],
    }, [plot.x, ...plot.series.map((each) => each.values)], target);
  });
})();
`;
