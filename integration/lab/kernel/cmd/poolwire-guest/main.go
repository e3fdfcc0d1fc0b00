// Command poolwire-guest runs inside the guests of the kernel lab, as their init
// and for single tasks, and outside of them to reach their agents.
package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"time"

	"poolwire/integration/lab/kernel/guest"
)

const usage = `usage: poolwire-guest exec ADDRESS NAMESPACE PROGRAM...   run in a guest; NAMESPACE - is its own
       poolwire-guest agent ADDRESS | echo-server PORT | echo ADDRESS | echo-lines ADDRESS | inject LINK | await-uptime DURATION`

func main() {
	if os.Getpid() == 1 {
		fmt.Fprintln(os.Stderr, guest.Init())
		os.Exit(1)
	}
	status, err := run(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		status = max(status, 1)
	}
	os.Exit(status)
}

func run(args []string) (int, error) {
	if len(args) >= 4 && args[0] == "exec" {
		request := guest.Request{Args: args[3:], Namespace: args[2]}
		if request.Namespace == "-" {
			request.Namespace = ""
		}
		return guest.Execute(args[1], request)
	}
	if len(args) != 2 {
		return 2, errors.New(usage)
	}
	ctx := context.Background()
	switch args[0] {
	case "agent":
		return 0, agent(args[1])
	case "echo-server":
		port, err := strconv.ParseUint(args[1], 10, 16)
		if err != nil {
			return 2, err
		}
		return 0, guest.EchoServer(uint16(port))
	case "echo":
		return 0, guest.EchoOnce(ctx, args[1])
	case "echo-lines":
		return 0, guest.EchoLines(ctx, args[1])
	case "inject":
		return 0, guest.Inject(args[1])
	case "await-uptime":
		least, err := time.ParseDuration(args[1])
		if err != nil {
			return 2, err
		}
		return 0, guest.AwaitUptime(least)
	}
	return 2, errors.New(usage)
}

func agent(address string) error {
	addr, err := netip.ParseAddr(address)
	if err != nil {
		return err
	}
	listener, err := guest.ListenControl(addr)
	if err != nil {
		return err
	}
	return guest.Serve(listener)
}
