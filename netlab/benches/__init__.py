"""The benches of one machine: a service that opens and closes them on request. Each bench is a child process.

So a new snapshot is built beside the bench that is in use, and a fault in one bench does not affect the others. The
service needs neither Redis nor a network. A keeper (`workers.keeper`) sends it requests.
"""
