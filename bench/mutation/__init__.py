"""Changes the code of the critical rooms, one small change at a time, and counts which changes no test notices."""
