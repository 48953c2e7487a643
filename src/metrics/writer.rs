//! Metrics as the encoder wants them, one after the other.

use std::fmt;

use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;

use super::calls::Series;
use super::histogram::Histogram;

/// Writes one metric after the other. Counters are named without the `_total` that they end with.
pub struct Writer<'a>(pub DescriptorEncoder<'a>);

impl Writer<'_> {
    pub fn gauge(&mut self, name: &str, help: &str, value: f64) -> fmt::Result {
        self.metric(name, help, MetricType::Gauge)?
            .encode_gauge(&value)
    }

    /// A gauge for each value of a label.
    pub fn gauges<'l>(
        &mut self,
        name: &str,
        help: &str,
        label: &str,
        samples: impl IntoIterator<Item = (&'l str, f64)>,
    ) -> fmt::Result {
        let mut metric = self.metric(name, help, MetricType::Gauge)?;
        for (value, sample) in samples {
            let labels = [(label, value)];
            metric.encode_family(&labels)?.encode_gauge(&sample)?;
        }
        Ok(())
    }

    pub fn counter(&mut self, name: &str, help: &str, count: u64) -> fmt::Result {
        let mut metric = self.metric(name, help, MetricType::Counter)?;
        metric.encode_counter::<NoLabelSet, _, u64>(&count, None)
    }

    /// A counter that has parts.
    pub fn seconds(&mut self, name: &str, help: &str, value: f64) -> fmt::Result {
        let mut metric = self.metric(name, help, MetricType::Counter)?;
        metric.encode_counter::<NoLabelSet, _, u64>(&value, None)
    }

    /// A counter for each value of a label.
    pub fn counters<'l>(
        &mut self,
        name: &str,
        help: &str,
        label: &str,
        samples: impl IntoIterator<Item = (&'l str, u64)>,
    ) -> fmt::Result {
        let mut metric = self.metric(name, help, MetricType::Counter)?;
        for (value, count) in samples {
            let labels = [(label, value)];
            let mut one = metric.encode_family(&labels)?;
            one.encode_counter::<NoLabelSet, _, u64>(&count, None)?;
        }
        Ok(())
    }

    pub fn histogram(&mut self, name: &str, help: &str, histogram: &Histogram) -> fmt::Result {
        let (sum, count, buckets) = histogram.read();
        let mut metric = self.metric(name, help, MetricType::Histogram)?;
        metric.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)
    }

    /// How often each route had each outcome.
    pub fn outcomes<'s>(
        &mut self,
        name: &str,
        help: &str,
        [first, second, third]: [&str; 3],
        series: impl Iterator<Item = &'s Series>,
        outcome: impl Fn(usize) -> String,
    ) -> fmt::Result {
        let mut metric = self.metric(name, help, MetricType::Counter)?;
        for one in series {
            for (number, count) in one.outcomes() {
                let outcome = outcome(number);
                let (left, right) = one.names;
                let labels = [(first, left), (second, right), (third, &*outcome)];
                let mut family = metric.encode_family(&labels)?;
                family.encode_counter::<NoLabelSet, _, u64>(&count, None)?;
            }
        }
        Ok(())
    }

    /// How long each route took. Routes that nobody has used have no line.
    pub fn durations<'s>(
        &mut self,
        name: &str,
        help: &str,
        [first, second]: [&str; 2],
        series: impl Iterator<Item = &'s Series>,
    ) -> fmt::Result {
        let mut metric = self.metric(name, help, MetricType::Histogram)?;
        for one in series.filter(|one| one.outcomes().next().is_some()) {
            let (sum, count, buckets) = one.duration.read();
            let labels = [(first, one.names.0), (second, one.names.1)];
            let mut family = metric.encode_family(&labels)?;
            family.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)?;
        }
        Ok(())
    }

    fn metric<'m>(
        &'m mut self,
        name: &'m str,
        help: &str,
        kind: MetricType,
    ) -> Result<MetricEncoder<'m>, fmt::Error> {
        self.0.encode_descriptor(name, help, None, kind)
    }
}
