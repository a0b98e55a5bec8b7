// Bench measures what a store costs, side by side with what people do today, on
// real kernels, and writes docs/performance.md.
//
//	go build -o bin/bench ./internal/bench
//	bin/bench                        # boots the beds one after the other
//	bin/bench -short                 # minutes instead of hours
//	bin/bench -runs uml -only usable # one experiment; the other figures stay
//	bin/bench -render                # the documents again, from what was measured
//
// The program has two halves. Outside, it starts each bed with the guest tool,
// gives it this same program as the command, and collects one JSON object for
// each line of its output. Inside, it runs experiments: each takes several
// sides, ways to make a filesystem of a raw disk, and measures them in turn,
// again and again, so that what disturbs the machine disturbs all sides alike.
//
// Every side starts from a disk without a signature. Repetitions go on until
// there are enough or the side has used its time; of three or more the first one,
// for which the host had to allocate the blocks of a sparse file, is left out of
// the tables. What the documents show is the median with the least and the most.
package main
