// querier is an application with a database. Its connection pool reads user and password from a mounted file for
// every new connection, and is emptied when the file changes. It queries all the time, logs in afresh all the time,
// and prints:
//
//	<unix milliseconds> file <user>                                          a new file was seen
//	<unix milliseconds> failed <login|query> <SQLSTATE or error>             each failure
//	<unix milliseconds> counts <logins> <failed> <queries> <failed> <slowest query in ms>   so far, each second
//
// A login of the pool that fails is a failed query.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

const (
	workers      = 4
	betweenTwo   = 10 * time.Millisecond  // two queries of a worker
	betweenLogin = 100 * time.Millisecond // two fresh logins
	betweenLooks = 50 * time.Millisecond  // two looks at the file
	wrongLogin   = "28P01"
)

// What Secrets Manager keeps for a database, by AWS's names.
type login struct {
	Host     string `json:"host"`
	Port     uint16 `json:"port"`
	Database string `json:"dbname"`
	User     string `json:"username"`
	Password string `json:"password"`
}

type app struct {
	file     string
	patience time.Duration
	pool     *pgxpool.Pool

	logins, failedLogins, queries, failedQueries, slowest atomic.Int64
}

func main() {
	file := flag.String("login", "/mnt/secrets/database", "the mounted file")
	patience := flag.Duration("patience", 0, "how long a query whose login is refused is tried again, with the file read anew")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	it := &app{file: *file, patience: *patience}
	if err := it.open(ctx); err != nil {
		log.Fatal(err)
	}
	var all sync.WaitGroup
	every := func(pause time.Duration, act func(context.Context)) {
		all.Go(func() {
			for ctx.Err() == nil {
				act(ctx)
				select {
				case <-ctx.Done():
				case <-time.After(pause):
				}
			}
		})
	}
	every(betweenLooks, it.look())
	every(betweenLogin, it.logIn)
	for range workers {
		every(betweenTwo, it.query)
	}
	every(time.Second, func(context.Context) { it.count() })
	all.Wait()
	it.count()
}

// open makes the pool. Its connections live for 1 to 2 seconds only, so that new ones are needed all the time.
func (a *app) open(ctx context.Context) error {
	config, err := pgxpool.ParseConfig("sslmode=disable")
	if err != nil {
		return err
	}
	config.MaxConns = workers
	config.MaxConnLifetime, config.MaxConnLifetimeJitter = time.Second, time.Second
	config.BeforeConnect = func(_ context.Context, connection *pgx.ConnConfig) error { return a.fill(connection) }
	config.AfterConnect = func(context.Context, *pgx.Conn) error { a.logins.Add(1); return nil }
	a.pool, err = pgxpool.NewWithConfig(ctx, config)
	return err
}

// fill puts what the file says now into a connection's settings.
func (a *app) fill(connection *pgx.ConnConfig) error {
	now, err := a.read()
	if err != nil {
		return err
	}
	connection.Host, connection.Port, connection.Database = now.Host, now.Port, now.Database
	connection.User, connection.Password = now.User, now.Password
	return nil
}

func (a *app) read() (login, error) {
	var now login
	content, err := os.ReadFile(a.file)
	if err == nil {
		err = json.Unmarshal(content, &now)
	}
	return now, err
}

// look empties the pool when the file has changed; a connection in use is closed after its query.
func (a *app) look() func(context.Context) {
	var seen login
	return func(context.Context) {
		now, err := a.read()
		if err != nil {
			say("failed file %v", err)
		} else if now != seen {
			seen = now
			say("file %s", now.User)
			a.pool.Reset()
		}
	}
}

// logIn makes a connection outside of the pool.
func (a *app) logIn(ctx context.Context) {
	config, err := pgx.ParseConfig("sslmode=disable")
	if err == nil {
		err = a.fill(config)
	}
	var connection *pgx.Conn
	if err == nil {
		connection, err = pgx.ConnectConfig(ctx, config)
	}
	if ctx.Err() != nil {
		return
	}
	a.logins.Add(1)
	if err != nil {
		a.failedLogins.Add(1)
		say("failed login %s", why(err))
		return
	}
	_ = connection.Close(ctx)
}

// query writes a row, with a connection of the pool.
func (a *app) query(ctx context.Context) {
	began := time.Now()
	err := a.insert(ctx)
	for why(err) == wrongLogin && time.Since(began) < a.patience {
		time.Sleep(betweenLooks)
		err = a.insert(ctx)
	}
	if ctx.Err() != nil {
		return
	}
	a.queries.Add(1)
	if took := time.Since(began).Milliseconds(); took > a.slowest.Load() {
		a.slowest.Store(took)
	}
	if err != nil {
		a.failedQueries.Add(1)
		say("failed query %s", why(err))
	}
}

func (a *app) insert(ctx context.Context) error {
	_, err := a.pool.Exec(ctx, "insert into visits (at) values (now())")
	return err
}

func (a *app) count() {
	say("counts %d %d %d %d %d", a.logins.Load(), a.failedLogins.Load(), a.queries.Load(), a.failedQueries.Load(),
		a.slowest.Load())
}

// why is the SQLSTATE of an error, or its text.
func why(err error) string {
	var refused *pgconn.PgError
	switch {
	case err == nil:
		return ""
	case errors.As(err, &refused):
		return refused.Code
	default:
		return fmt.Sprintf("%q", err.Error())
	}
}

func say(format string, arguments ...any) {
	fmt.Printf("%d %s\n", time.Now().UnixMilli(), fmt.Sprintf(format, arguments...))
}
