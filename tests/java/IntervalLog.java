import java.io.File;
import java.util.Map;
import java.util.TreeMap;
import org.HdrHistogram.EncodableHistogram;
import org.HdrHistogram.Histogram;
import org.HdrHistogram.HistogramLogReader;

/**
 * Reads an interval log as HdrHistogram's own reader understands it, and prints a line for each tag: its name, the start
 * of the log in milliseconds since 1970, how many intervals there are, how many values, and the percentiles asked for.
 */
public final class IntervalLog {
    public static void main(String[] args) throws Exception {
        Map<String, Histogram> histograms = new TreeMap<>();
        Map<String, Integer> intervals = new TreeMap<>();
        HistogramLogReader reader = new HistogramLogReader(new File(args[0]));
        while (reader.hasNext()) {
            EncodableHistogram interval = reader.nextIntervalHistogram();
            if (interval == null) {
                throw new IllegalStateException("a line that is no interval");
            }
            histograms.computeIfAbsent(interval.getTag(), tag -> new Histogram(3)).add((Histogram) interval);
            intervals.merge(interval.getTag(), 1, Integer::sum);
        }
        for (String tag : histograms.keySet()) {
            Histogram histogram = histograms.get(tag);
            StringBuilder line = new StringBuilder(tag);
            line.append(' ').append(Math.round(reader.getStartTimeSec() * 1000));
            line.append(' ').append(intervals.get(tag)).append(' ').append(histogram.getTotalCount());
            for (int n = 1; n < args.length; n++) {
                line.append(' ').append(histogram.getValueAtPercentile(Double.parseDouble(args[n])));
            }
            System.out.println(line);
        }
    }
}
