package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
)

// insideWord as the first argument says that this process runs in a bed.
const insideWord = "inside"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	var err error
	switch {
	case len(os.Args) > 1 && os.Args[1] == insideWord:
		err = mainInside(ctx, os.Args[2:])
	case len(os.Args) > 1 && os.Args[1] == floorWord:
		err = mainFloor(ctx, os.Args[2:])
	case len(os.Args) > 1 && os.Args[1] == workerWord:
		err = mainWorker(ctx)
	default:
		err = mainOutside(ctx, os.Args[1:])
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func mainOutside(ctx context.Context, args []string) error {
	var o outside
	fs := flag.NewFlagSet("bench", flag.ExitOnError)
	guest := fs.String("guest", "go tool guest", "the guest `command`")
	runs := fs.String("runs", "", "run only these, separated by commas: "+strings.Join(runNames(), ", "))
	only := fs.String("only", "", "only these `experiments`, separated by commas")
	render := fs.Bool("render", false, "measure nothing, write the documents from what was measured before")
	fs.BoolVar(&o.short, "short", os.Getenv("BENCH_SHORT") != "", "small sizes, few repetitions (BENCH_SHORT=1)")
	fs.StringVar(&o.tool, "tool", "bin/trusted-store", "static trusted-store `binary` to measure")
	fs.StringVar(&o.docs, "docs", "docs", "`directory` of performance.md, performance.json and the plots")
	if err := fs.Parse(args); err != nil {
		return err
	}
	o.guest, o.runs, o.only = strings.Fields(*guest), list(*runs), list(*only)
	if !*render {
		if err := o.measure(ctx); err != nil {
			return err
		}
	}
	return o.render()
}

// list splits a list at commas; nothing gives nothing.
func list(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return r == ',' })
}
