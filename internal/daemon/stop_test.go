package daemon

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"testing"
)

const signals = 20 // that TestSecondSignal sends

// TestSecondSignal sends signals to a process that is stopping: SIGTERM lets it finish, SIGINT ends it at once.
func TestSecondSignal(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		signal syscall.Signal
		want   string
	}{
		{syscall.SIGTERM, "exit status 7"},
		{syscall.SIGINT, "signal: interrupt"},
	} {
		cmd := exec.Command(os.Args[0], "-test.run=^TestSecondSignalChild$", "-test.count=1")
		cmd.Env = append(os.Environ(), "OSTOR_TEST_STOP=1")
		cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		in, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		await := func(want string) {
			t.Helper()
			for lines.Scan() {
				if lines.Text() == want {
					return
				}
			}
			t.Errorf("the process ended before it said %q", want)
		}
		await("ready")
		_ = cmd.Process.Signal(syscall.SIGTERM)
		await("stopping")
		for range signals { // one could be handled too late to show
			_ = cmd.Process.Signal(tc.signal)
			if tc.signal == syscall.SIGTERM {
				_, _ = fmt.Fprintln(in, "go on") // it may be gone
				await("going on")
			}
		}
		for lines.Scan() {
		}
		_ = cmd.Wait()
		if got := cmd.ProcessState.String(); got != tc.want {
			t.Errorf("%v while it stops: %s, want %s", tc.signal, got, tc.want)
		}
	}
}

// TestSecondSignalChild is the process of TestSecondSignal.
func TestSecondSignalChild(t *testing.T) {
	if os.Getenv("OSTOR_TEST_STOP") == "" {
		return // not started by TestSecondSignal
	}
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	fmt.Println("ready")
	if err := WaitAndStop(ctx, func(context.Context) error {
		fmt.Println("stopping")
		in := bufio.NewReader(os.Stdin)
		for range signals {
			if _, err := in.ReadString('\n'); err != nil {
				return err
			}
			fmt.Println("going on")
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	os.Exit(7) // before cancel: the last signal may still be on its way
}
